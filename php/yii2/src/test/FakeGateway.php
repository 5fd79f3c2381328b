<?php

declare(strict_types=1);

namespace PushGateway\Yii2\test;

use PushGateway\Test\FakeCalls;
use PushGateway\Yii2\Gateway;
use PushGateway\Yii2\SendEvent;

/**
 * Replaces the component in an application's own tests. It sends nothing, and keeps what would have been sent.
 *
 *     'gateway' => ['class' => \PushGateway\Yii2\test\FakeGateway::class, 'clients' => ['c1' => 'ann']],
 *
 *     $this->assertSame([['sendToUid', 'ann', ['type' => 'comment']]], Yii::$app->gateway->sent);
 */
class FakeGateway extends Gateway
{
    use FakeCalls;

    /**
     * @var list<array{0: string, 1: mixed, 2: mixed, 3?: array<string, mixed>}> method, receivers and message of each send, and
     * its options where it had some
     */
    public array $sent = [];

    public function init(): void
    {
        $this->backend ??= self::class;
        $this->inbox = new FakeInbox();
        parent::init();
        $this->on(self::EVENT_AFTER_SEND, function (SendEvent $event) {
            $options = $event->options === [] ? [] : [$event->options];
            $this->sent[] = [$event->method, $event->to, $event->message, ...$options];
        });
    }

    public function isClientProof(mixed $clientId, mixed $proof): bool
    {
        return is_string($clientId) && $proof === "proof of $clientId";
    }

    public function token(
        string|int|null $uid = null,
        int $ttl = 3600,
        array $groups = [],
        array $session = [],
        bool $once = false
    ): string {
        return "token of $uid";
    }

    public function tokenForDevice(
        string $device,
        string|int|null $uid = null,
        int $ttl = 3600,
        array $groups = [],
        array $session = [],
        bool $once = false
    ): string {
        return "token of $uid for $device";
    }

    public function __call($name, $params)
    {
        return $this->observed($name, $params);
    }

    protected function call(string $method, array $arguments): mixed
    {
        return $this->fake($method, $arguments);
    }
}
