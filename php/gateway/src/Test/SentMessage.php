<?php

declare(strict_types=1);

namespace PushGateway\Test;

/** A message that {@see FakeGateway} was given. */
final class SentMessage
{
    public const FLAGS = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE;

    /**
     * @param string $method such as `sendToUid`
     * @param string|int|array<string|int>|null $to uids, a client_id or groups; null stands for everybody
     * @param string $text the message as it would go out
     * @param list<mixed> $rest the arguments behind the message, in the order of the parameters of class Gateway
     */
    public function __construct(
        public readonly string $method,
        public readonly string|int|array|null $to,
        public readonly string $text,
        public readonly array $rest = [],
    ) {
    }

    /** The message as it was given, with arrays in place of objects; a text that is no JSON is itself. */
    public function message(): mixed
    {
        return json_decode($this->text, true) ?? $this->text;
    }

    public function describe(): string
    {
        return $this->method . ($this->to === null ? '' : ' ' . json_encode($this->to, self::FLAGS)) . ": $this->text";
    }
}
