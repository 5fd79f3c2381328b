<?php

namespace PushGateway\Worker;

/** What onWorkerStart and onWorkerStop are given, with the properties of GatewayWorker's that programs look at. */
final class WorkerInfo
{
    public function __construct(public readonly int $id, public readonly string $name, public readonly int $count)
    {
    }
}
