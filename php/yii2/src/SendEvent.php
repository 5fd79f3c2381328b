<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use yii\base\Event;
use yii\helpers\Json;

/** A message that is sent to clients. */
class SendEvent extends Event
{
    /** The method that sends, such as `sendToUid`, `sendToUidCounted`, `ask` or `deliverToUid`. */
    public string $method = '';

    /** @var string|int|array<string|int>|null uids, a client_id or groups; null stands for everybody, or for the current client */
    public string|int|array|null $to = null;

    /** A string is sent as it is, anything else as JSON. */
    public mixed $message = null;

    /** @var array<string, mixed> the options that were given, such as `exclude`, `binary` or the `ttl` of a delivery */
    public array $options = [];

    /** A handler sets this to false to hold the message back. */
    public bool $isValid = true;

    /** What the call has returned, in {@see Gateway::EVENT_AFTER_SEND}. */
    public mixed $result = null;

    /** Why the message could not be sent, in {@see Gateway::EVENT_SEND_FAILED}. */
    public ?\Exception $error = null;

    public function describe(): string
    {
        return $this->method . ($this->to === null ? '' : ' ' . Json::encode($this->to));
    }
}
