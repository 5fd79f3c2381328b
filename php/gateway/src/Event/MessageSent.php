<?php

declare(strict_types=1);

namespace PushGateway\Event;

/** A message was handed to the gateway. */
final class MessageSent extends MessageEvent
{
    /**
     * @param string|int|array<string|int>|null $to
     * @param array<string, mixed> $options
     * @param mixed $result what the method answers; null for one that answers nothing
     */
    public function __construct(
        string $method,
        string|int|array|null $to,
        mixed $message,
        array $options,
        public readonly mixed $result,
    ) {
        parent::__construct($method, $to, $message, $options);
    }
}
