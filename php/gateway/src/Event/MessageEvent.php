<?php

declare(strict_types=1);

namespace PushGateway\Event;

/** A message and for whom it was. */
abstract class MessageEvent
{
    /**
     * @param string $method the method that sends, such as `sendToUid`, `ask` or `deliverToUid`
     * @param string|int|array<string|int>|null $to uids, a client_id or groups; null stands for everybody
     * @param mixed $message what the method was given
     * @param array<string, mixed> $options those that were given, such as `exclude`, `binary` or the `ttl` of a delivery
     */
    public function __construct(
        public readonly string $method,
        public readonly string|int|array|null $to,
        public readonly mixed $message,
        public readonly array $options,
    ) {
    }
}
