<?php

declare(strict_types=1);

namespace PushGateway;

use Psr\EventDispatcher\EventDispatcherInterface;
use Psr\Log\LoggerInterface;
use PushGateway\Event\MessageFailed;
use PushGateway\Event\MessageSent;
use PushGateway\Exception\CallFailed;
use PushGateway\Exception\GatewayExceptionInterface;
use PushGateway\Exception\InvalidConfiguration;
use PushGateway\Exception\UnsupportedCall;

/**
 * The methods of {@see GatewayInterface} on one that is called as class Gateway is: by the names of methods, with arguments in
 * the order of its parameters, and answers in its forms. It writes each failed call to the log, once, and tells of messages by
 * events.
 *
 * @phpstan-import-type Counts from GatewayInterface
 * @phpstan-import-type Receipt from GatewayInterface
 * @phpstan-import-type Inbox from GatewayInterface
 * @phpstan-import-type ClientInfo from GatewayInterface
 */
abstract class AbstractGateway implements GatewayInterface
{
    public function __construct(
        private readonly ?LoggerInterface $logger = null,
        private readonly ?EventDispatcherInterface $events = null,
        private readonly OnError $onError = OnError::Throw,
    ) {
        if ($onError === OnError::Log && $logger === null) {
            throw new InvalidConfiguration('Failed sends are to be logged, and there is no logger.');
        }
    }

    /**
     * Calls the method of class Gateway.
     *
     * @param array<mixed> $arguments in the order of the parameters of class Gateway
     * @return mixed what class Gateway answers
     */
    abstract protected function call(string $method, array $arguments): mixed;

    public function sendToAll(
        mixed $message,
        ?array $only = null,
        string|array|null $exclude = null,
        bool $raw = false,
        string|int|array|null $excludeGroup = null,
        ?bool $binary = null,
    ): void {
        $this->send('sendToAll', null, $message, compact('only', 'exclude', 'raw', 'excludeGroup', 'binary'));
    }

    public function sendToClient(string $clientId, mixed $message, bool $raw = false, ?bool $binary = null): void
    {
        $this->send('sendToClient', $clientId, $message, compact('raw', 'binary'));
    }

    public function sendToUid(
        string|int|array $uid,
        mixed $message,
        bool $raw = false,
        string|array|null $exclude = null,
        string|int|array|null $excludeGroup = null,
        ?bool $binary = null,
    ): void {
        $this->send('sendToUid', $uid, $message, compact('raw', 'exclude', 'excludeGroup', 'binary'));
    }

    public function sendToGroup(
        string|int|array $group,
        mixed $message,
        string|array|null $exclude = null,
        bool $raw = false,
        string|int|array|null $excludeGroup = null,
        ?bool $binary = null,
    ): void {
        $this->send('sendToGroup', $group, $message, compact('exclude', 'raw', 'excludeGroup', 'binary'));
    }

    public function sendToUidCounted(string|int|array $uid, mixed $message): array
    {
        /** @var Counts $counts */
        $counts = $this->answered('sendToUidCounted', $uid, $message, []);

        return $counts;
    }

    public function sendToGroupCounted(string|int|array $group, mixed $message, string|array|null $exclude = null): array
    {
        /** @var Counts $counts */
        $counts = $this->answered('sendToGroupCounted', $group, $message, compact('exclude'));

        return $counts;
    }

    public function ask(string|int $clientIdOrUid, mixed $message, ?float $timeout = null): array
    {
        /** @var array<string, string|null> $answers */
        $answers = $this->answered('ask', $clientIdOrUid, $message, compact('timeout'));

        return $answers;
    }

    public function deliverToUid(string|int|array $uid, mixed $message, array $options = []): string
    {
        /** @var string $id */
        $id = $this->answered('deliverToUid', $uid, $message, $options, [$options]);

        return $id;
    }

    public function receipt(string $id): array
    {
        /** @var list<Receipt> $receipts */
        $receipts = $this->made('receipt', [$id]);

        return $receipts;
    }

    public function inboxOf(string|int $uid): ?array
    {
        /** @var Inbox|null $inbox */
        $inbox = $this->made('inboxOf', [$uid]);

        return $inbox;
    }

    public function forget(string|int $uid): void
    {
        $this->made('forget', [$uid]);
    }

    public function closeClient(string $clientId, mixed $message = null): void
    {
        $this->close('closeClient', $clientId, $message);
    }

    public function closeUid(string|int|array $uid, mixed $message = null): void
    {
        $this->close('closeUid', $uid, $message);
    }

    public function destroyClient(string $clientId): void
    {
        $this->made('destroyClient', [$clientId]);
    }

    public function bindUid(string $clientId, string|int $uid): void
    {
        $this->made('bindUid', [$clientId, $uid]);
    }

    public function unbindUid(string $clientId): void
    {
        // Class Gateway has a second parameter, which it ignores, and GatewayClient takes none without.
        $this->made('unbindUid', [$clientId, '-']);
    }

    public function joinGroup(string $clientId, string|int $group): void
    {
        $this->made('joinGroup', [$clientId, $group]);
    }

    public function leaveGroup(string $clientId, string|int $group): void
    {
        $this->made('leaveGroup', [$clientId, $group]);
    }

    public function ungroup(string|int $group): void
    {
        $this->made('ungroup', [$group]);
    }

    public function isOnline(string $clientId): bool
    {
        return (bool) $this->made('isOnline', [$clientId]);
    }

    public function isUidOnline(string|int $uid): bool
    {
        return (bool) $this->made('isUidOnline', [$uid]);
    }

    public function isUidsOnline(array $uids): array
    {
        return array_map(boolval(...), $this->asArray('isUidsOnline', [$uids]));
    }

    public function getClientIdByUid(string|int $uid): array
    {
        return $this->asList('getClientIdByUid', [$uid]);
    }

    public function batchGetClientIdByUid(array $uids): array
    {
        return array_map(self::texts(...), $this->asArray('batchGetClientIdByUid', [$uids]));
    }

    public function getUidByClientId(string $clientId): ?string
    {
        return self::textOrNull($this->made('getUidByClientId', [$clientId]));
    }

    public function getClientInfo(string $clientId): ?array
    {
        /** @var ClientInfo|null $info */
        $info = $this->made('getClientInfo', [$clientId]);

        return $info;
    }

    public function getAllClientIdCount(): int
    {
        return $this->asCount('getAllClientIdCount', []);
    }

    public function getClientIdCountByGroup(string|int $group): int
    {
        return $this->asCount('getClientIdCountByGroup', [$group]);
    }

    public function batchGetClientIdCountByGroup(array $groups): array
    {
        return array_map(self::count(...), $this->asArray('batchGetClientIdCountByGroup', [$groups]));
    }

    public function getAllUidCount(): int
    {
        return $this->asCount('getAllUidCount', []);
    }

    public function getUidCountByGroup(string|int|array $group): int
    {
        return $this->asCount('getUidCountByGroup', [$group]);
    }

    public function getAllClientIdList(): array
    {
        return $this->asList('getAllClientIdList', []);
    }

    public function getClientIdListByGroup(string|int|array $group): array
    {
        return $this->asList('getClientIdListByGroup', [$group]);
    }

    public function getAllUidList(): array
    {
        return $this->asList('getAllUidList', []);
    }

    public function getUidListByGroup(string|int|array $group): array
    {
        return $this->asList('getUidListByGroup', [$group]);
    }

    public function getAllGroupIdList(): array
    {
        return $this->asList('getAllGroupIdList', []);
    }

    public function getAllGroupUidList(): array
    {
        return array_map(self::texts(...), $this->asArray('getAllGroupUidList', []));
    }

    public function getAllGroupUidCount(): array
    {
        return array_map(self::count(...), $this->asArray('getAllGroupUidCount', []));
    }

    public function getAllGroupClientIdList(): array
    {
        return array_map(self::texts(...), $this->asArray('getAllGroupClientIdList', []));
    }

    public function getAllGroupClientIdCount(): array
    {
        return array_map(self::count(...), $this->asArray('getAllGroupClientIdCount', []));
    }

    public function getSession(string $clientId): ?array
    {
        $session = $this->made('getSession', [$clientId]);

        return $session === null ? null : (array) $session;
    }

    public function setSession(string $clientId, array $session): void
    {
        $this->made('setSession', [$clientId, $session]);
    }

    public function updateSession(string $clientId, array $session): void
    {
        $this->made('updateSession', [$clientId, $session]);
    }

    public function getAllClientSessions(): array
    {
        return self::sessions($this->asArray('getAllClientSessions', []));
    }

    public function getClientSessionsByGroup(string|int|array $group): array
    {
        return self::sessions($this->asArray('getClientSessionsByGroup', [$group]));
    }

    public function token(
        string|int $uid,
        int $ttl = 3600,
        array $groups = [],
        array $session = [],
        bool $once = false,
        ?string $device = null,
    ): string {
        /** @var string $token */
        $token = $this->made('token', [$uid, $ttl, $groups, $session, $once, $device]);

        return $token;
    }

    public function isClientProof(mixed $clientId, mixed $proof): bool
    {
        return (bool) $this->made('isClientProof', [$clientId, $proof]);
    }

    public function getClientProof(string $clientId): ?string
    {
        return self::textOrNull($this->made('getClientProof', [$clientId]));
    }

    public function flush(?float $timeout = null): bool
    {
        return (bool) $this->made('flush', [$timeout]);
    }

    /** A string is sent as it is, and anything else as JSON. */
    private static function text(mixed $message): string
    {
        return is_string($message)
            ? $message
            : json_encode($message, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
    }

    /**
     * Sends what gives no answer.
     *
     * @param string|int|array<string|int>|null $to
     * @param array<string, mixed> $options in the order of the parameters of class Gateway
     */
    private function send(string $method, string|int|array|null $to, mixed $message, array $options): void
    {
        try {
            $this->answered($method, $to, $message, $options);
        } catch (CallFailed $e) {
            $this->throwUnlessLogged($e);
        }
    }

    /**
     * Sends a message, and tells of it by an event.
     *
     * @param string|int|array<string|int>|null $to
     * @param array<string, mixed> $options in the order of the parameters of class Gateway, unless there is $last
     * @param list<mixed>|null $last the arguments behind the message, where they are not the options one by one
     */
    private function answered(
        string $method,
        string|int|array|null $to,
        mixed $message,
        array $options,
        ?array $last = null,
    ): mixed {
        $isSet = fn (mixed $value, string $name) => $value !== ($name === 'raw' ? false : null);
        $given = array_filter($options, $isSet, ARRAY_FILTER_USE_BOTH);
        $arguments = [...$to === null ? [] : [$to], self::text($message), ...$last ?? array_values($options)];
        try {
            $result = $this->made($method, $arguments, $to);
        } catch (GatewayExceptionInterface $e) {
            $this->events?->dispatch(new MessageFailed($method, $to, $message, $given, $e));
            throw $e;
        }
        $answers = !in_array($method, ['sendToAll', 'sendToClient', 'sendToUid', 'sendToGroup'], true);
        $this->events?->dispatch(new MessageSent($method, $to, $message, $given, $answers ? $result : null));

        return $result;
    }

    /** @param string|int|array<string|int> $whom */
    private function close(string $method, string|int|array $whom, mixed $message): void
    {
        try {
            $this->made($method, [$whom, $message === null ? null : self::text($message)], $whom);
        } catch (CallFailed $e) {
            $this->throwUnlessLogged($e);
        }
    }

    private function throwUnlessLogged(CallFailed $e): void
    {
        if ($this->onError === OnError::Throw) {
            throw $e;
        }
    }

    /**
     * Makes the call. What it throws is one of this package's, and a mistake of the program, which is an \Error, stays one.
     *
     * @param array<mixed> $arguments
     */
    private function made(string $method, array $arguments, mixed $to = null): mixed
    {
        try {
            return $this->call($method, $arguments);
        } catch (GatewayExceptionInterface $e) {
            $this->log($method, $to, $e);
            throw $e;
        } catch (\Exception $e) {
            // GatewayClient's exceptions have no kinds.
            $kind = $e instanceof GatewayException ? (int) $e->getCode() : 0;
            $failure = new CallFailed("$method: {$e->getMessage()}", $kind, $e);
            $this->log($method, $to, $failure);
            throw $failure;
        }
    }

    /**
     * Writes a failed call to the log, without what was sent. A log that fails is no reason to fail, and neither to lose the
     * error.
     */
    private function log(string $method, mixed $to, GatewayExceptionInterface $e): void
    {
        try {
            $this->logger?->error('The gateway did not do {method}: {reason}', [
                'method' => $method,
                'reason' => $e->getMessage(),
                'to' => $to,
                'exception' => $e,
            ]);
        } catch (\Throwable $ofTheLog) {
            error_log("The gateway did not do $method: {$e->getMessage()}; and the logger failed: {$ofTheLog->getMessage()}");
        }
    }

    /**
     * @param array<mixed> $arguments
     * @return array<mixed>
     */
    private function asArray(string $method, array $arguments): array
    {
        return (array) $this->made($method, $arguments);
    }

    /**
     * @param array<mixed> $arguments
     * @return list<string>
     */
    private function asList(string $method, array $arguments): array
    {
        return self::texts($this->made($method, $arguments));
    }

    /** @param array<mixed> $arguments */
    private function asCount(string $method, array $arguments): int
    {
        return self::count($this->made($method, $arguments));
    }

    /** @return list<string> */
    private static function texts(mixed $values): array
    {
        return array_map(fn (mixed $value) => (string) self::textOrNull($value), array_values((array) $values));
    }

    private static function textOrNull(mixed $value): ?string
    {
        return is_scalar($value) ? (string) $value : null;
    }

    private static function count(mixed $value): int
    {
        return is_numeric($value) ? (int) $value : 0;
    }

    /**
     * @param array<mixed> $sessions
     * @return array<string, array<mixed>>
     */
    private static function sessions(array $sessions): array
    {
        $byClient = [];
        foreach ($sessions as $client => $session) {
            $byClient[(string) $client] = (array) $session;
        }

        return $byClient;
    }
}
