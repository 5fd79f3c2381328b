<?php

declare(strict_types=1);

namespace PushGateway\Http;

/** The answer to a request. */
final class Answer
{
    public function __construct(public readonly int $status, public readonly string $body)
    {
    }
}
