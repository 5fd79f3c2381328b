<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** The class that programs find as `Workerman\Worker` when that is not installed, with the properties that they read. */
#[\AllowDynamicProperties]
class WorkerInfo
{
    public int $id = 0;
    public string $name = '';
    public int $count = 1;
}
