<?php

declare(strict_types=1);

namespace PushGateway\Event;

use PushGateway\Exception\GatewayExceptionInterface;

/** A message was not handed to the gateway. */
final class MessageFailed extends MessageEvent
{
    /**
     * @param string|int|array<string|int>|null $to
     * @param array<string, mixed> $options
     */
    public function __construct(
        string $method,
        string|int|array|null $to,
        mixed $message,
        array $options,
        public readonly GatewayExceptionInterface $error,
    ) {
        parent::__construct($method, $to, $message, $options);
    }
}
