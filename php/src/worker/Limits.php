<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** What handlers and their process may use, before another process takes its place. */
final class Limits
{
    private const DEFAULT_MEMORY = 1 << 30;
    private const UNITS = ['' => 0, 'k' => 10, 'm' => 20, 'g' => 30];

    private int $events = 0;
    /** Bytes. */
    private readonly int $memory;

    public function __construct(private Options $options)
    {
        $set = self::memoryOfIni();
        $memory = $options->maxMemory ?? $set ?? self::DEFAULT_MEMORY;
        $this->memory = $set === null ? $memory : min($memory, $set);
        ini_set('memory_limit', (string) $this->memory);
        if ($options->handlerTimeout !== null) {
            pcntl_signal(SIGALRM, $this->timeIsUp(...));
        }
    }

    public function begin(): void
    {
        if ($this->options->handlerTimeout !== null) {
            pcntl_alarm($this->options->handlerTimeout);
        }
    }

    public function end(): void
    {
        if ($this->options->handlerTimeout !== null) {
            pcntl_alarm(0);
        }
    }

    /** After an event: whether another process should have the next ones. */
    public function areReached(): bool
    {
        return ++$this->events >= ($this->options->maxEvents ?? PHP_INT_MAX)
            || memory_get_usage() > intdiv($this->memory, 4) * 3;
    }

    private function timeIsUp(): void
    {
        $trace = (new \Exception())->getTraceAsString();
        $seconds = $this->options->handlerTimeout;
        Log::write("a handler has not ended within $seconds s (--handler-timeout): its process ends\n$trace");
        exit(1);
    }

    /** Null where PHP sets no limit. */
    private static function memoryOfIni(): ?int
    {
        $set = trim((string) ini_get('memory_limit'));
        $bytes = (int) $set << (self::UNITS[strtolower(ltrim($set, '-0123456789'))] ?? 0);
        return $bytes > 0 ? $bytes : null;
    }
}
