<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use yii\base\Event;

/** A call of the class that has ended. What was sent, tokens and proofs are not in it, so that it may be shown. */
class CallEvent extends Event
{
    public string $method = '';

    /** @var string|int|list<string|int>|null uids, client_ids or groups; null is everybody, or nobody in particular */
    public string|int|array|null $to = null;

    /** How long the message is, where there is one. */
    public ?int $bytes = null;

    public float $seconds = 0.0;

    /** Why it has failed, if so. */
    public ?string $error = null;

    /**
     * Whom a call is about: the first argument, but of sendToAll, and of those that are about the current client.
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
