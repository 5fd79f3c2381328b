<?php

declare(strict_types=1);

namespace PushGateway\Event;

/** A device has received a delivered message, or its user has read it. It may be told of more than once. */
final class MessageReceipt
{
    /**
     * @param bool $signed whether a token has named the device
     * @param string $event `received` or `read`
     * @param int $at when, in milliseconds since 1970
     */
    public function __construct(
        public readonly string $uid,
        public readonly string $id,
        public readonly string $device,
        public readonly bool $signed,
        public readonly string $event,
        public readonly int $at,
    ) {
    }
}
