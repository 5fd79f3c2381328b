<?php

declare(strict_types=1);

namespace GatewayWorker;

use Workerman\Worker;

/** Handlers name it as the type of what onWorkerStart() is given. */
class BusinessWorker extends Worker
{
}
