<?php

declare(strict_types=1);

namespace PushGateway\Tests;

/** A stream that gives its parts one at a time, and then ends, as a connection whose other end is closed. */
final class Parts
{
    /** @var resource|null which PHP sets */
    public $context;

    /** @var list<string> */
    private static array $parts = [];

    /**
     * @param list<string> $parts of which none is longer than PHP reads at once, which are 8 KiB
     * @return resource
     */
    public static function open(array $parts)
    {
        self::$parts = $parts;
        in_array('parts', stream_get_wrappers(), true) || stream_wrapper_register('parts', self::class);

        return fopen('parts://', 'r') ?: throw new \LogicException('there is no stream of parts');
    }

    // PHP calls these by their names.
    // phpcs:disable PSR1.Methods.CamelCapsMethodName

    public function stream_open(string $path, string $mode): bool
    {
        return $mode === 'r';
    }

    public function stream_read(int $length): string
    {
        return substr((string) array_shift(self::$parts), 0, $length);
    }

    public function stream_eof(): bool
    {
        return self::$parts === [];
    }

    public function stream_set_option(int $option): bool
    {
        return false;
    }
}
