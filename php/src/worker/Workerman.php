<?php

declare(strict_types=1);

namespace PushGateway\Worker;

use PushGateway\Gateway;

/** The classes of Workerman and GatewayWorker that handlers name, whether or not these packages are installed. */
final class Workerman
{
    private const GATEWAY = 'GatewayWorker\Lib\Gateway';
    private const TIMERS = ['Workerman\Timer', 'Workerman\Lib\Timer'];
    private const WORKER = 'Workerman\Worker';
    private const BUSINESS_WORKER = 'GatewayWorker\BusinessWorker';

    /** Before the program's code: its autoloaders may find the packages' own, which know nothing of the loop here. */
    public static function takePlaces(): void
    {
        foreach ([self::GATEWAY => Gateway::class] + array_fill_keys(self::TIMERS, Timer::class) as $name => $class) {
            if (!class_exists($name, false)) {
                class_alias($class, $name);
            }
        }
    }

    /** What onWorkerStart() and onWorkerStop() are given: of the packages' own class where an autoloader finds it. */
    public static function worker(int $id, string $name, int $count): object
    {
        if (!class_exists(self::BUSINESS_WORKER)) {
            if (!class_exists(self::WORKER)) {
                class_alias(WorkerInfo::class, self::WORKER);
            }
            require __DIR__ . '/workerman/BusinessWorker.php';
        }
        // Its constructor would have it listen.
        $worker = (new \ReflectionClass(self::BUSINESS_WORKER))->newInstanceWithoutConstructor();
        $worker->id = $id;
        $worker->name = $name;
        $worker->count = $count;
        return $worker;
    }
}
