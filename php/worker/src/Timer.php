<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** The class that programs find as `Workerman\Timer`. Its timers run between the events of the worker process. */
class Timer
{
    /**
     * When each is due, its interval in seconds, the function and its arguments, and whether it repeats.
     *
     * @var array<int, array{float, float, callable, array<mixed>, bool}>
     */
    private static array $timers = [];
    private static int $lastId = 0;

    /** @param array<mixed>|null $args */
    public static function add(float $timeInterval, callable $func, ?array $args = [], bool $persistent = true): int
    {
        if ($timeInterval < 0) {
            throw new \RuntimeException("a timer's interval must not be negative, as $timeInterval is");
        }
        $id = ++self::$lastId;
        self::$timers[$id] = [self::now() + $timeInterval, $timeInterval, $func, $args ?? [], $persistent];
        return $id;
    }

    /** @param array<mixed> $args */
    public static function repeat(float $timeInterval, callable $func, array $args = []): int
    {
        return self::add($timeInterval, $func, $args);
    }

    /** @param array<mixed> $args */
    public static function delay(float $timeInterval, callable $func, array $args = []): int
    {
        return self::add($timeInterval, $func, $args, false);
    }

    public static function del(int|bool|null $timerId): bool
    {
        $isThere = isset(self::$timers[(int) $timerId]);
        unset(self::$timers[(int) $timerId]);
        return $isThere;
    }

    public static function delAll(): void
    {
        self::$timers = [];
    }

    public static function sleep(float $delay): void
    {
        usleep((int) max(0.0, $delay * 1e6));
    }

    /** Does nothing. Programs call it because Workerman's timers need it. */
    public static function init(mixed $event = null): void
    {
    }

    /** How long until the next timer is due, in milliseconds, at least one; null when there is no timer. */
    public static function millisecondsUntilDue(): ?int
    {
        if (self::$timers === []) {
            return null;
        }
        return (int) max(1, min(3_600_000, ceil((min(array_column(self::$timers, 0)) - self::now()) * 1000)));
    }

    public static function isDue(): bool
    {
        return self::$timers !== [] && min(array_column(self::$timers, 0)) <= self::now();
    }

    /** @param \Closure(callable, array<mixed>): void $call */
    public static function run(\Closure $call): void
    {
        $now = self::now();
        foreach (self::$timers as $id => [$due, $interval, $func, $args, $isRepeated]) {
            // A timer that ran before this one may have deleted it.
            if ($due > $now || !isset(self::$timers[$id])) {
                continue;
            }
            if ($isRepeated) {
                self::$timers[$id][0] = $now + $interval;
            } else {
                unset(self::$timers[$id]);
            }
            $call($func, $args);
        }
    }

    private static function now(): float
    {
        return hrtime(true) / 1e9;
    }
}
