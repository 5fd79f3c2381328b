<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use Psr\Log\AbstractLogger;

/** A log that keeps its lines, or fails. */
final class KeptLog extends AbstractLogger
{
    /** @var list<string> */
    public array $lines = [];

    /** @var list<array<string, mixed>> */
    public array $contexts = [];

    public ?string $failure = null;

    /**
     * @param mixed $level
     * @param string|\Stringable $message
     * @param array<string, mixed> $context
     */
    public function log($level, $message, array $context = []): void
    {
        if ($this->failure !== null) {
            throw new \RuntimeException($this->failure);
        }
        $places = array_filter($context, fn (mixed $value) => is_string($value));
        $names = array_map(fn ($key) => "{{$key}}", array_keys($places));
        $this->lines[] = strtr((string) $message, array_combine($names, $places));
        $this->contexts[] = $context;
    }
}
