<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** Stands where programs expect `Workerman\Worker` when that is not installed, with the properties that they look at. */
#[\AllowDynamicProperties]
class WorkerInfo
{
    public int $id = 0;
    public string $name = '';
    public int $count = 1;
}
