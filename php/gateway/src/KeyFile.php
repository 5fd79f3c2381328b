<?php

declare(strict_types=1);

namespace PushGateway;

use PushGateway\Exception\InvalidConfiguration;

/** Reads a key from a file, as gateway-server does. PHP-FPM hands no environment on, but can read files. */
final class KeyFile
{
    /** Returns the first line of the file. */
    public static function read(string $path): string
    {
        $read = is_file($path) ? @file_get_contents($path, length: 4096) : false;
        $line = strtok((string) $read, "\r\n");
        if ($line === false || trim($line) === '') {
            $why = match (true) {
                !is_file($path) => 'there is no such file',
                $read === false => 'this user may not read it',
                default => 'it is empty',
            };
            throw new InvalidConfiguration("$path: $why.");
        }

        return $line;
    }
}
