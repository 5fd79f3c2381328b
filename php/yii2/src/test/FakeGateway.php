<?php

declare(strict_types=1);

namespace PushGateway\Yii2\test;

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
    /** @var array<string|int, string|int|null> the uids of the clients that are online, by client_id */
    public array $clients = [];

    /** @var array<string|int, array<string|int, true>> the client_ids of each group's members, as keys */
    public array $groups = [];

    /**
     * @var list<array{0: string, 1: mixed, 2: mixed, 3?: array<string, mixed>}> method, receivers and message of each send, and
     * its options where it had some
     */
    public array $sent = [];

    /** @var array<string|int, string> what the pages of clients answer to every question, by client_id */
    public array $answers = [];

    /** What was delivered by `deliverToUid`, of which `receipt`, `inboxOf` and `forget` know. */
    public FakeInbox $inbox;

    /** With a text every call fails for that reason, as while the gateway is down; with null no call fails. */
    public ?string $failure = null;

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
        if ($this->failure !== null) {
            throw new \RuntimeException($this->failure);
        }
        /** @var array{string|int|null, string|int|null} $two */
        $two = $arguments + [null, null];
        [$first, $second] = $two;
        $clientsOf = fn ($uid) => array_map('strval', array_keys($this->clients, $uid));
        switch ($method) {
            case 'bindUid':
                $this->clients[$first] = $second;
                return null;
            case 'unbindUid':
                $this->clients[$first] = null;
                return null;
            case 'joinGroup':
                $this->groups[$second][$first] = true;
                return null;
            case 'leaveGroup':
                unset($this->groups[$second][$first]);
                return null;
            case 'closeUid':
                foreach ((array) $first as $uid) {
                    $this->leave(...$clientsOf($uid));
                }
                return null;
            case 'closeClient':
            case 'destroyClient':
                $this->leave((string) $first);
                return true;
            case 'isOnline':
                return (int) array_key_exists($first ?? '', $this->clients);
            case 'getClientInfo':
                return array_key_exists($first ?? '', $this->clients) ? $this->info((string) $first) : null;
            case 'isUidOnline':
                return (int) ($clientsOf($first) !== []);
            case 'getClientIdByUid':
                return $clientsOf($first);
            case 'getUidByClientId':
                return $this->clients[$first] ?? null;
            case 'getClientIdCountByGroup':
                return count($first === null || $first === '' ? $this->clients : $this->groups[$first] ?? []);
            case 'getAllClientIdCount':
                return count($this->clients);
            case 'getAllClientIdList':
                $all = array_map('strval', array_keys($this->clients));
                return array_combine($all, $all);
            case 'getClientIdListByGroup':
                return $this->members((array) ($arguments[0] ?? []));
            case 'sendToUidCounted':
                return $this->taken(array_merge(...array_map($clientsOf, array_unique((array) $first))));
            case 'sendToGroupCounted':
                return $this->taken(array_diff($this->members((array) $first), (array) ($arguments[2] ?? [])));
            case 'ask':
                $asked = array_key_exists($first ?? '', $this->clients) ? [(string) $first] : $clientsOf($first);
                return array_combine($asked, array_map(fn (string $client) => $this->answers[$client] ?? null, $asked));
            case 'deliverToUid':
                return $this->inbox->deliver((array) $first, (string) $second, (array) ($arguments[2] ?? []));
            case 'receipt':
                return $this->inbox->receipt((string) $first);
            case 'inboxOf':
                return $this->inbox->of($first ?? '');
            case 'forget':
                $this->inbox->forget($first ?? '');
                return null;
            case 'sendToAll':
            case 'sendToClient':
            case 'sendToUid':
            case 'sendToGroup':
            case 'sendToCurrentClient':
            case 'closeCurrentClient':
                return true;
        }
        throw new \BadMethodCallException("The fake gateway knows no $method.");
    }

    /**
     * What class Gateway tells of a client, who is connected to no server here.
     *
     * @return array<string, int|string|list<string>|null>
     */
    private function info(string $client): array
    {
        $uid = $this->clients[$client];
        $groups = array_keys(array_filter($this->groups, fn (array $members) => isset($members[$client])));
        return [
            'state' => 'connected',
            'since' => null,
            'online_since' => null,
            'address' => null,
            'listener' => null,
            'uid' => $uid === null ? null : (string) $uid,
            'groups' => array_map('strval', $groups),
            'queued_bytes' => 0,
            'parked_seconds' => null,
            'kept_bytes' => 0,
        ];
    }

    /**
     * @param array<mixed> $groups
     * @return array<string, string>
     */
    private function members(array $groups): array
    {
        $clients = [];
        foreach ($groups as $group) {
            foreach (is_string($group) || is_int($group) ? array_keys($this->groups[$group] ?? []) : [] as $client) {
                $clients[(string) $client] = (string) $client;
            }
        }

        return $clients;
    }

    /**
     * @param array<string> $clients
     * @return array{taken: int, waiting: int, gone: int, silent: list<string>}
     */
    private function taken(array $clients): array
    {
        return ['taken' => count($clients), 'waiting' => 0, 'gone' => 0, 'silent' => []];
    }

    private function leave(string ...$clients): void
    {
        $this->clients = array_diff_key($this->clients, array_flip($clients));
        $this->groups = array_map(fn (array $members) => array_diff_key($members, array_flip($clients)), $this->groups);
    }
}
