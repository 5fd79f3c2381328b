<?php

declare(strict_types=1);

namespace PushGateway;

use PushGateway\Exception\GatewayExceptionInterface;

/**
 * What class Gateway does, as a service that is injected. docs/class.md of the project says what each method means; here a
 * message may be anything (a string goes out as it is, the rest as JSON), lists are lists, and what is asked with yes or no is a
 * bool.
 *
 * A *client_id* names one connection. A *uid* is what a program binds connections to, usually the id of a user, and a *group* is
 * what it gathers connections in. None of these is empty: what is sent to an empty one is for nobody.
 *
 * Every method throws a {@see GatewayExceptionInterface} when the call has failed, or cannot be made by this implementation.
 * Sends and closes that give no answer may be set to log that instead.
 *
 * @phpstan-type Counts array{taken: int, waiting: int, gone: int, silent: list<string>}
 * @phpstan-type Receipt array{uid: string, stored: int, expires: int, waiting: bool, devices: list<array{
 *     device: string, signed: bool, written: ?int, received: ?int, read: ?int
 * }>}
 * @phpstan-type Inbox array{messages: int, bytes: int, devices: list<array{
 *     device: string, signed: bool, waiting: int, lost: int, seen: int
 * }>}
 * @phpstan-type ClientInfo array{
 *     state: 'connected'|'parked', since: ?int, online_since: ?int, address: ?string, listener: ?string, uid: ?string,
 *     groups: list<string>, queued_bytes: ?int, parked_seconds: ?int, kept_bytes: int
 * }
 */
interface GatewayInterface
{
    /**
     * Sends to everybody, or to the connections listed.
     *
     * @param string[]|null $only client_ids; null stands for everybody, and an empty list for nobody
     * @param string|string[]|null $exclude client_ids that do not get it
     * @param bool $raw whether the bytes go out without the client protocol's framing
     * @param string|int|array<string|int>|null $excludeGroup groups whose members do not get it
     * @param bool|null $binary whether websocket clients get it as binary or as text; null leaves that to the server's setting
     */
    public function sendToAll(
        mixed $message,
        ?array $only = null,
        string|array|null $exclude = null,
        bool $raw = false,
        string|int|array|null $excludeGroup = null,
        ?bool $binary = null,
    ): void;

    /** Sends to one connection. */
    public function sendToClient(string $clientId, mixed $message, bool $raw = false, ?bool $binary = null): void;

    /**
     * Sends to all connections of a uid, or of each of several.
     *
     * @param string|int|array<string|int> $uid
     * @param string|string[]|null $exclude client_ids that do not get it
     * @param string|int|array<string|int>|null $excludeGroup groups whose members do not get it
     */
    public function sendToUid(
        string|int|array $uid,
        mixed $message,
        bool $raw = false,
        string|array|null $exclude = null,
        string|int|array|null $excludeGroup = null,
        ?bool $binary = null,
    ): void;

    /**
     * Sends to all members of a group, or of each of several. A member of two gets the message twice.
     *
     * @param string|int|array<string|int> $group
     * @param string|string[]|null $exclude client_ids that do not get it
     * @param string|int|array<string|int>|null $excludeGroup groups whose members do not get it
     */
    public function sendToGroup(
        string|int|array $group,
        mixed $message,
        string|array|null $exclude = null,
        bool $raw = false,
        string|int|array|null $excludeGroup = null,
        ?bool $binary = null,
    ): void;

    /**
     * Sends to all connections of a uid, or of each of several, each once, and says how many have taken it.
     *
     * @param string|int|array<string|int> $uid
     * @return Counts the connections whose system has taken the message, those for which it waits, those that have gone
     *     meanwhile, and the nodes of a cluster that did not answer
     */
    public function sendToUidCounted(string|int|array $uid, mixed $message): array;

    /**
     * Sends to all members of a group, or of each of several, each once, and says how many have taken it.
     *
     * @param string|int|array<string|int> $group
     * @param string|string[]|null $exclude client_ids that do not get it
     * @return Counts
     */
    public function sendToGroupCounted(string|int|array $group, mixed $message, string|array|null $exclude = null): array;

    /**
     * Asks the page of a connection, or all pages of a uid, and waits for their answers. Twenty hex digits are a client_id.
     *
     * @param float|null $timeout how many seconds to wait at most; null leaves that to the setting of the gateway
     * @return array<string, string|null> the answer of each by client_id; null for one that has not answered
     */
    public function ask(string|int $clientIdOrUid, mixed $message, ?float $timeout = null): array;

    /**
     * Keeps a message until each device of a uid, or of each of several, has it: also for those that are not there.
     *
     * @param string|int|array<string|int> $uid
     * @param array<string, mixed> $options `ttl` in seconds, `id`, `replace`, `new_device` and `binary`, as those of class
     *     Gateway
     * @return string the id of the message
     */
    public function deliverToUid(string|int|array $uid, mixed $message, array $options = []): string;

    /**
     * Says what has become of a message that was delivered, for each uid. Times are milliseconds since 1970.
     *
     * @return list<Receipt>
     */
    public function receipt(string $id): array;

    /**
     * Says what waits for a uid, and for each of its devices.
     *
     * @return Inbox|null null when the gateway knows nothing of the uid
     */
    public function inboxOf(string|int $uid): ?array;

    /** Forgets all that was delivered to a uid, its devices and what they have got. */
    public function forget(string|int $uid): void;

    /** Closes a connection once everything sent to it, and then the message unless that is null, has gone out. */
    public function closeClient(string $clientId, mixed $message = null): void;

    /**
     * Closes all connections of a uid, or of each of several, in the same way.
     *
     * @param string|int|array<string|int> $uid
     */
    public function closeUid(string|int|array $uid, mixed $message = null): void;

    /** Closes a connection at once: nothing that is queued for it goes out. */
    public function destroyClient(string $clientId): void;

    /** Binds a connection to a uid, in place of the one it may have had. */
    public function bindUid(string $clientId, string|int $uid): void;

    /** Takes a connection's uid from it. */
    public function unbindUid(string $clientId): void;

    public function joinGroup(string $clientId, string|int $group): void;

    public function leaveGroup(string $clientId, string|int $group): void;

    /** Takes everybody out of a group. */
    public function ungroup(string|int $group): void;

    public function isOnline(string $clientId): bool;

    public function isUidOnline(string|int $uid): bool;

    /**
     * @param array<string|int> $uids
     * @return array<string|int, bool> by uid
     */
    public function isUidsOnline(array $uids): array;

    /** @return list<string> client_ids */
    public function getClientIdByUid(string|int $uid): array;

    /**
     * @param array<string|int> $uids
     * @return array<string|int, list<string>> client_ids by uid
     */
    public function batchGetClientIdByUid(array $uids): array;

    public function getUidByClientId(string $clientId): ?string;

    /**
     * Says what is known of a connection. Times are Unix times in seconds, and null where they are not known.
     *
     * @return ClientInfo|null null when it is not online
     */
    public function getClientInfo(string $clientId): ?array;

    public function getAllClientIdCount(): int;

    public function getClientIdCountByGroup(string|int $group): int;

    /**
     * @param array<string|int> $groups
     * @return array<string|int, int> by group
     */
    public function batchGetClientIdCountByGroup(array $groups): array;

    public function getAllUidCount(): int;

    /** @param string|int|array<string|int> $group one or several, in which each uid counts once */
    public function getUidCountByGroup(string|int|array $group): int;

    /** @return list<string> client_ids */
    public function getAllClientIdList(): array;

    /**
     * @param string|int|array<string|int> $group
     * @return list<string> client_ids, each once
     */
    public function getClientIdListByGroup(string|int|array $group): array;

    /** @return list<string> uids */
    public function getAllUidList(): array;

    /**
     * @param string|int|array<string|int> $group
     * @return list<string> uids, each once
     */
    public function getUidListByGroup(string|int|array $group): array;

    /** @return list<string> groups that somebody is in */
    public function getAllGroupIdList(): array;

    /** @return array<string|int, list<string>> uids by group */
    public function getAllGroupUidList(): array;

    /** @return array<string|int, int> by group */
    public function getAllGroupUidCount(): array;

    /** @return array<string|int, list<string>> client_ids by group */
    public function getAllGroupClientIdList(): array;

    /** @return array<string|int, int> by group */
    public function getAllGroupClientIdCount(): array;

    /** @return array<mixed>|null null when the connection is not online */
    public function getSession(string $clientId): ?array;

    /**
     * Sets the session of a connection, in place of the one it may have had.
     *
     * @param array<mixed> $session
     */
    public function setSession(string $clientId, array $session): void;

    /**
     * Changes the session of a connection to `array_replace_recursive($old, $session)`, in one step within the gateway.
     *
     * @param array<mixed> $session
     */
    public function updateSession(string $clientId, array $session): void;

    /** @return array<string, array<mixed>> by client_id */
    public function getAllClientSessions(): array;

    /**
     * @param string|int|array<string|int> $group
     * @return array<string, array<mixed>> by client_id
     */
    public function getClientSessionsByGroup(string|int|array $group): array;

    /**
     * Makes a connect token: `new WebSocket(url + '?token=' + token)` is bound to the uid at once.
     *
     * @param int $ttl for how many seconds the token is valid
     * @param array<string|int> $groups the groups that the connection joins at once
     * @param array<mixed> $session the connection's session, which everybody who has the token can read
     * @param bool $once whether the token is valid for one connection only
     * @param string|null $device the name of the page's device, 1 to 64 bytes; null leaves it to the page
     */
    public function token(
        string|int $uid,
        int $ttl = 3600,
        array $groups = [],
        array $session = [],
        bool $once = false,
        ?string $device = null,
    ): string;

    /** Whether the proof is that of the client_id, which only the client's page knows. Both may be anything that was posted. */
    public function isClientProof(mixed $clientId, mixed $proof): bool;

    /** The proof of a client, which is for nobody but that client; null when it is not online. */
    public function getClientProof(string $clientId): ?string;

    /**
     * Waits until everything that was sent is confirmed, and says whether it is. It is for programs that run for long; without a
     * queue between program and gateway nothing waits.
     *
     * @param float|null $timeout how many seconds to wait at most; null leaves that to the setting of the gateway
     */
    public function flush(?float $timeout = null): bool;
}
