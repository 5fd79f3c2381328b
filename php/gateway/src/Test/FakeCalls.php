<?php

declare(strict_types=1);

namespace PushGateway\Test;

/**
 * What class Gateway answers, of clients that are connected to no server: a test says who is there. The fakes of this package
 * and of others are built on it.
 */
trait FakeCalls
{
    /** @var array<string|int, string|int|null> the uids of the clients that are online, by client_id */
    public array $clients = [];

    /** @var array<string|int, array<string|int, true>> the client_ids of each group's members, as keys */
    public array $groups = [];

    /** @var array<string|int, array<mixed>> the sessions of clients that have one, by client_id */
    public array $sessions = [];

    /** @var array<string|int, string> what the pages of clients answer to every question, by client_id */
    public array $answers = [];

    /** What was delivered by `deliverToUid`, of which `receipt`, `inboxOf` and `forget` know. */
    public FakeInbox $inbox;

    /** With a text every call fails for that reason, as while the gateway is down; with null no call fails. */
    public ?string $failure = null;

    /**
     * Does what class Gateway does.
     *
     * @param array<mixed> $arguments in the order of its parameters
     */
    private function fake(string $method, array $arguments): mixed
    {
        if ($this->failure !== null) {
            throw new \RuntimeException($this->failure);
        }
        /** @var array{string|int|null, string|int|null} $two */
        $two = $arguments + [null, null];
        [$first, $second] = $two;
        $many = array_values(array_filter((array) ($arguments[0] ?? []), fn ($one) => is_string($one) || is_int($one)));
        switch ($method) {
            case 'bindUid':
                // A client that no test has connected is there from now on.
                $this->clients[$first] = empty($second) ? $this->clients[$first] ?? null : $second;
                return null;
            case 'unbindUid':
                $this->clients[$first] = null;
                return null;
            case 'joinGroup':
                if (!empty($second)) {
                    $this->groups[$second][$first] = true;
                }
                return null;
            case 'leaveGroup':
                unset($this->groups[$second][$first]);
                return null;
            case 'ungroup':
                unset($this->groups[$first]);
                return null;
            case 'closeUid':
                foreach ($many as $uid) {
                    $this->leave(...$this->clientsOf($uid));
                }
                return null;
            case 'closeClient':
            case 'destroyClient':
                $this->leave((string) $first);
                return true;
            case 'isOnline':
                return (int) $this->isThere($first);
            case 'getClientInfo':
                return $this->isThere($first) ? $this->info((string) $first) : null;
            case 'isUidOnline':
                return (int) ($this->clientsOf($first) !== []);
            case 'isUidsOnline':
                return $this->ofEach($many, fn ($uid) => (int) ($this->clientsOf($uid) !== []));
            case 'getClientIdByUid':
                return $this->clientsOf($first);
            case 'batchGetClientIdByUid':
                return $this->ofEach($many, $this->clientsOf(...));
            case 'getUidByClientId':
                return isset($this->clients[$first]) ? (string) $this->clients[$first] : null;
            case 'getAllClientIdCount':
                return count($this->clients);
            case 'getClientIdCountByGroup':
                return count($first === null || $first === '' ? $this->clients : $this->groups[$first] ?? []);
            case 'batchGetClientIdCountByGroup':
                return $this->ofEach($many, fn ($group) => count($this->groups[$group] ?? []));
            case 'getAllClientIdList':
                return self::keyed(array_keys($this->clients));
            case 'getClientIdListByGroup':
                return $this->members($many);
            case 'getAllUidList':
                return $this->uidsOf(array_keys($this->clients));
            case 'getAllUidCount':
                return count($this->uidsOf(array_keys($this->clients)));
            case 'getUidListByGroup':
                return $this->uidsOf($this->members($many));
            case 'getUidCountByGroup':
                return count($this->uidsOf($this->members($many)));
            case 'getAllGroupIdList':
                return self::keyed(array_keys($this->groupsWithMembers()));
            case 'getAllGroupUidList':
                return array_map(fn ($members) => $this->uidsOf(array_keys($members)), $this->groupsWithMembers());
            case 'getAllGroupUidCount':
                return array_map(fn ($members) => count($this->uidsOf(array_keys($members))), $this->groupsWithMembers());
            case 'getAllGroupClientIdList':
                return array_map(fn ($members) => self::keyed(array_keys($members)), $this->groupsWithMembers());
            case 'getAllGroupClientIdCount':
                return array_map('count', $this->groupsWithMembers());
            case 'getSession':
                return $this->isThere($first) ? $this->sessions[$first] ?? [] : null;
            case 'setSession':
            case 'updateSession':
                if ($this->isThere($first)) {
                    $old = $method === 'setSession' ? [] : $this->sessions[$first] ?? [];
                    $this->sessions[$first] = array_replace_recursive($old, (array) ($arguments[1] ?? []));
                }
                return null;
            case 'getAllClientSessions':
            case 'getClientSessionsByGroup':
                $of = $many === [] || $many === [''] ? self::keyed(array_keys($this->clients)) : $this->members($many);
                return array_map(fn ($client) => $this->sessions[$client] ?? [], $of);
            case 'sendToUidCounted':
                return $this->taken(array_merge(...array_map($this->clientsOf(...), array_unique($many))));
            case 'sendToGroupCounted':
                return $this->taken(array_diff($this->members($many), (array) ($arguments[2] ?? [])));
            case 'ask':
                $asked = $this->isThere($first) ? [(string) $first] : $this->clientsOf($first);
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
            case 'token':
                return "token of $first";
            case 'getClientProof':
                return $this->isThere($first) ? "proof of $first" : null;
            case 'isClientProof':
                return is_string($first) && $second === "proof of $first";
            case 'sendToAll':
            case 'sendToClient':
            case 'sendToUid':
            case 'sendToGroup':
            case 'sendToCurrentClient':
            case 'closeCurrentClient':
            case 'flush':
                return true;
        }
        throw new \BadMethodCallException("The fake gateway knows no $method.");
    }

    private function isThere(string|int|null $client): bool
    {
        return array_key_exists($client ?? '', $this->clients);
    }

    /** @return list<string> */
    private function clientsOf(string|int|null $uid): array
    {
        $of = array_filter($this->clients, fn ($one) => $one !== null && (string) $one === (string) $uid);

        return array_map('strval', array_keys($of));
    }

    /**
     * @param list<string|int> $names
     * @param \Closure(string|int): mixed $answer
     * @return array<string|int, mixed>
     */
    private function ofEach(array $names, \Closure $answer): array
    {
        $answers = [];
        foreach ($names as $name) {
            $answers[$name] = $answer($name);
        }

        return $answers;
    }

    /**
     * @param array<string|int> $clients
     * @return array<string|int, string>
     */
    private function uidsOf(array $clients): array
    {
        $uids = array_intersect_key($this->clients, array_flip($clients));

        return self::keyed(array_filter($uids, fn ($uid) => $uid !== null));
    }

    /** @return array<string|int, array<string|int, true>> */
    private function groupsWithMembers(): array
    {
        return array_filter($this->groups);
    }

    /**
     * @param array<string|int> $values
     * @return array<string|int, string>
     */
    private static function keyed(array $values): array
    {
        $texts = array_map('strval', array_values($values));

        return array_combine($texts, $texts);
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
     * @return array<string|int, string>
     */
    private function members(array $groups): array
    {
        $clients = [];
        foreach ($groups as $group) {
            $clients += is_string($group) || is_int($group) ? $this->groups[$group] ?? [] : [];
        }

        return self::keyed(array_keys($clients));
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
        $gone = array_flip($clients);
        $this->clients = array_diff_key($this->clients, $gone);
        $this->sessions = array_diff_key($this->sessions, $gone);
        $this->groups = array_map(fn (array $members) => array_diff_key($members, $gone), $this->groups);
    }
}
