<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use yii\base\Event;

/** A call of the class that has ended. It has no messages, tokens or proofs, so that a debug panel may show it. */
class CallEvent extends Event
{
    public string $method = '';

    /**
     * @var string|int|list<string|int>|null uids, client_ids or groups, or the id that a receipt is asked for; null stands for
     * everybody, or for no receiver
     */
    public string|int|array|null $to = null;

    /** The length of the message in bytes; null for calls without a message. */
    public ?int $bytes = null;

    public float $seconds = 0.0;

    /** Why the call has failed; null when it has not. */
    public ?string $error = null;

    /**
     * The receivers of a call: its first argument, except that sendToAll has them in its second, and that calls about the current
     * client name none.
     *
     * @param array<mixed> $arguments
     * @return string|int|list<string|int>|null
     */
    public static function receivers(string $method, array $arguments): string|int|array|null
    {
        $first = match (true) {
            $method === 'sendToAll' => $arguments[1] ?? null,
            str_ends_with($method, 'CurrentClient') => null,
            default => reset($arguments),
        };
        if (is_array($first)) {
            return array_values(array_filter($first, fn ($one) => is_string($one) || is_int($one)));
        }

        return is_string($first) || is_int($first) ? $first : null;
    }
}
