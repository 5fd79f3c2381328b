<?php

declare(strict_types=1);

namespace PushGateway\Event;

/** No device has acknowledged a delivered message in time. It may be told of more than once. */
final class MessageUndelivered
{
    /** @param int $stored when the message was kept, in milliseconds since 1970 */
    public function __construct(
        public readonly string $uid,
        public readonly string $id,
        public readonly int $stored,
    ) {
    }
}
