<?php

declare(strict_types=1);

namespace PushGateway\Async;

use PushGateway\GatewayFuture;
use Swoole\Coroutine\System;

/**
 * Waits for the gateway's answers in a coroutine of Swoole: other coroutines go on meanwhile.
 *
 * ```php
 * $isOnline = SwooleLoop::await(Gateway::later('isUidOnline', ['anna']));
 * ```
 */
final class SwooleLoop
{
    private function __construct()
    {
    }

    /**
     * Suspends the coroutine until the answer is there or its time is up, and gives or throws what the method does.
     */
    public static function await(GatewayFuture $future): mixed
    {
        if (!$future->isReady()) {
            System::waitEvent($future->stream(), SWOOLE_EVENT_READ, max($future->secondsLeft(), 0.001));
        }
        return $future->resolve();
    }
}
