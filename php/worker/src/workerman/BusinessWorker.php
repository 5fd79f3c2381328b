<?php

declare(strict_types=1);

namespace GatewayWorker;

use Workerman\Worker;

/** The type that handlers name for the argument of onWorkerStart(), when GatewayWorker is not installed. */
class BusinessWorker extends Worker
{
}
