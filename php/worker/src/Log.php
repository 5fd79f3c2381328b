<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** Writes log lines to the standard error output. */
final class Log
{
    public static function write(string $message): void
    {
        fwrite(STDERR, date('c') . ' gateway-worker[' . getmypid() . "] $message\n");
    }
}
