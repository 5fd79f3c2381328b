<?php

declare(strict_types=1);

namespace PushGateway\Webhook;

/** Says why a request is no webhook of the gateway: its message in words, and {@see $failure} for programs. */
final class WebhookException extends \RuntimeException
{
    public function __construct(public readonly Failure $failure, string $message, ?\Throwable $previous = null)
    {
        parent::__construct($message, 0, $previous);
    }
}
