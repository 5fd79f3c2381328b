<?php

declare(strict_types=1);

namespace PushGateway\Async;

use PushGateway\GatewayFuture;
use Revolt\EventLoop;

/**
 * Waits for the gateway's answers in Revolt's event loop, which AMPHP and others use: other fibers go on meanwhile.
 *
 * ```php
 * $isOnline = RevoltLoop::await(Gateway::later('isUidOnline', ['anna']));
 * ```
 */
final class RevoltLoop
{
    private function __construct()
    {
    }

    /**
     * Suspends the fiber until the answer is there or its time is up, and gives or throws what the method does.
     */
    public static function await(GatewayFuture $future): mixed
    {
        if (!$future->isReady()) {
            $suspension = EventLoop::getSuspension();
            $watchers = [];
            $resume = static function () use ($suspension, &$watchers): void {
                // Both may be due at the same time, and the fiber goes on once.
                array_map(EventLoop::cancel(...), $watchers);
                $suspension->resume();
            };
            $watchers[] = EventLoop::onReadable($future->stream(), $resume);
            $watchers[] = EventLoop::delay($future->secondsLeft(), $resume);
            try {
                $suspension->suspend();
            } finally {
                array_map(EventLoop::cancel(...), $watchers);
            }
        }
        return $future->resolve();
    }
}
