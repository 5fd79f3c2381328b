<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use yii\base\Event;
use yii\helpers\Json;

/** Something that is sent to clients. */
class SendEvent extends Event
{
    /** `sendToUid`, `sendToClient`, `sendToGroup`, `sendToAll` or `sendToCurrentClient`. */
    public string $method = '';

    /** @var string|int|array<string|int>|null uids, a client_id or groups; null is everybody, or the current client */
    public string|int|array|null $to = null;

    /** What is sent: a string as it is, anything else as JSON. */
    public mixed $message = null;

    /** @var array<string, mixed> those of `only`, `exclude`, `excludeGroup`, `raw` and `binary` that were given */
    public array $options = [];

    /** False holds it back. */
    public bool $isValid = true;

    /** What the call returned, after it. */
    public mixed $result = null;

    /** Why it could not be sent, in {@see Gateway::EVENT_SEND_FAILED}. */
    public ?\Exception $error = null;

    public function describe(): string
    {
        return $this->method . ($this->to === null ? '' : ' ' . Json::encode($this->to));
    }
}
