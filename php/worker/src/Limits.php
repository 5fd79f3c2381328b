<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** How long a handler may run, and how much its process may use before another process takes its place. */
final class Limits
{
    private const DEFAULT_MEMORY = 1 << 30;
    /** By how many bits a unit of php.ini shifts its number. */
    private const UNIT_BITS = ['' => 0, 'k' => 10, 'm' => 20, 'g' => 30];

    private int $events = 0;
    /** The memory limit of this process, in bytes. */
    private readonly int $memory;

    public function __construct(private Options $options)
    {
        $set = self::memoryLimitOfIni();
        $memory = $options->maxMemory ?? $set ?? self::DEFAULT_MEMORY;
        $this->memory = $set === null ? $memory : min($memory, $set);
        ini_set('memory_limit', (string) $this->memory);
        if ($options->handlerTimeout !== null) {
            pcntl_signal(SIGALRM, $this->onTimeout(...));
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

    /** Counts an event that was handled, and says whether another process should handle the next ones. */
    public function countEvent(): bool
    {
        return ++$this->events >= ($this->options->maxEvents ?? PHP_INT_MAX)
            || memory_get_usage() > intdiv($this->memory, 4) * 3;
    }

    private function onTimeout(): void
    {
        $trace = (new \Exception())->getTraceAsString();
        $seconds = $this->options->handlerTimeout;
        Log::write("a handler has not ended within $seconds s (--handler-timeout): its process ends\n$trace");
        exit(1);
    }

    /** The memory_limit of php.ini in bytes; null when it sets none. */
    private static function memoryLimitOfIni(): ?int
    {
        $set = trim((string) ini_get('memory_limit'));
        $bytes = (int) $set << (self::UNIT_BITS[strtolower(ltrim($set, '-0123456789'))] ?? 0);
        return $bytes > 0 ? $bytes : null;
    }
}
