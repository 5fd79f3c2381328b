<?php

declare(strict_types=1);

namespace PushGateway\Worker;

use PushGateway\Gateway;

/** Provides the classes of Workerman and GatewayWorker that handlers name, whether or not these packages are installed. */
final class Workerman
{
    private const GATEWAY = 'GatewayWorker\Lib\Gateway';
    private const TIMERS = ['Workerman\Timer', 'Workerman\Lib\Timer'];
    private const WORKER = 'Workerman\Worker';
    private const BUSINESS_WORKER = 'GatewayWorker\BusinessWorker';

    /** Runs before the program's code, whose autoloaders may find the packages' own classes. Those need Workerman's event loop. */
    public static function declareAliases(): void
    {
        foreach ([self::GATEWAY => Gateway::class] + array_fill_keys(self::TIMERS, Timer::class) as $name => $class) {
            if (!class_exists($name, false)) {
                class_alias($class, $name);
            }
        }
    }

    /** The argument of onWorkerStart() and onWorkerStop(), of the packages' own class where an autoloader finds it. */
    public static function worker(int $id, string $name, int $count): object
    {
        if (!class_exists(self::BUSINESS_WORKER)) {
            if (!class_exists(self::WORKER)) {
                class_alias(WorkerInfo::class, self::WORKER);
            }
            require __DIR__ . '/workerman/BusinessWorker.php';
        }
        // The constructor of the packages' class would have the worker listen.
        $worker = (new \ReflectionClass(self::BUSINESS_WORKER))->newInstanceWithoutConstructor();
        $worker->id = $id;
        $worker->name = $name;
        $worker->count = $count;
        return $worker;
    }
}
