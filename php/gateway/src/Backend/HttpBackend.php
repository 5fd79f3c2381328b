<?php

declare(strict_types=1);

namespace PushGateway\Backend;

use PushGateway\ConnectToken;
use PushGateway\Exception\CallFailed;
use PushGateway\Exception\UnsupportedCall;
use PushGateway\Http\Transport;

/** Makes the calls of class Gateway over the HTTP API of gateway-server, and answers as the class does. */
final class HttpBackend implements Backend
{
    /** The names that the API has for the parameters of the class, in the order of these. */
    private const PARAMETERS = [
        'sendToAll' => ['message', 'client_id_array', 'exclude_client_id', 'raw', 'exclude_group', 'binary'],
        'sendToClient' => ['client_id', 'message', 'raw', 'binary'],
        'sendToUid' => ['uid', 'message', 'raw', 'exclude_client_id', 'exclude_group', 'binary'],
        'sendToGroup' => ['group', 'message', 'exclude_client_id', 'raw', 'exclude_group', 'binary'],
        'sendToUidCounted' => ['uid', 'message'],
        'sendToGroupCounted' => ['group', 'message', 'exclude_client_id'],
        'ask' => ['client_id_or_uid', 'message', 'timeout'],
        'receipt' => ['id'],
        'inboxOf' => ['uid'],
        'forget' => ['uid'],
        'closeClient' => ['client_id', 'message'],
        'closeUid' => ['uid', 'message'],
        'destroyClient' => ['client_id'],
        'bindUid' => ['client_id', 'uid'],
        'unbindUid' => ['client_id'],
        'joinGroup' => ['client_id', 'group'],
        'leaveGroup' => ['client_id', 'group'],
        'ungroup' => ['group'],
        'setSession' => ['client_id', 'session'],
        'updateSession' => ['client_id', 'session'],
        'isOnline' => ['client_id'],
        'isUidOnline' => ['uid'],
        'isUidsOnline' => ['uids'],
        'getClientIdByUid' => ['uid'],
        'batchGetClientIdByUid' => ['uids'],
        'getUidByClientId' => ['client_id'],
        'getClientProof' => ['client_id'],
        'getClientInfo' => ['client_id'],
        'getAllClientIdCount' => [],
        'getAllUidCount' => [],
        'getClientIdCountByGroup' => ['group'],
        'batchGetClientIdCountByGroup' => ['groups'],
        'getAllClientIdList' => [],
        'getClientIdListByGroup' => ['group'],
        'getAllUidList' => [],
        'getUidListByGroup' => ['group'],
        'getAllGroupIdList' => [],
        'getAllGroupUidList' => [],
        'getAllGroupUidCount' => [],
        'getAllGroupClientIdList' => [],
        'getAllGroupClientIdCount' => [],
        'getSession' => ['client_id'],
        'getAllClientSessions' => [],
        'getClientSessionsByGroup' => ['group'],
    ];

    /** Other names of the class for the same. */
    private const OTHER_NAMES = [
        'destoryClient' => 'destroyClient',
        'getAllClientCount' => 'getAllClientIdCount',
        'getClientCountByGroup' => 'getClientIdCountByGroup',
        'getAllClientInfo' => 'getAllClientSessions',
        'getClientInfoByGroup' => 'getClientSessionsByGroup',
    ];

    /** What these do when their group is empty, which stands for everybody. */
    private const OF_EVERYBODY = ['getClientIdCountByGroup' => 'getAllClientIdCount'];

    /** What these do when they are given a group. */
    private const OF_A_GROUP = ['getAllClientSessions' => 'getClientSessionsByGroup'];

    /** What this class does by itself, or by several requests. */
    private const OWN = ['deliverToUid', 'isClientProof', 'token', 'setSocketSession', 'flush', 'getUidCountByGroup'];

    /** The orders that the class answers with true. */
    private const TRUE = ['sendToClient', 'closeClient', 'destroyClient', 'setSocketSession'];

    /** The lists that the class gives as arrays with each value as its own key. */
    private const KEYED = [
        'getAllClientIdList', 'getClientIdListByGroup', 'getAllUidList', 'getUidListByGroup', 'getAllGroupIdList',
    ];

    /** What the error codes of the API mean. */
    private const KINDS = [
        'stopped' => CallFailed::UNREACHABLE,
        'replaced' => CallFailed::UNREACHABLE,
        'timeout' => CallFailed::TIMEOUT,
        'upgrading' => CallFailed::TIMEOUT,
        'unauthorized' => CallFailed::REFUSED,
        'from_a_page' => CallFailed::REFUSED,
        'foreign_host' => CallFailed::REFUSED,
        'refused' => CallFailed::REFUSED,
        'busy' => CallFailed::REFUSED,
        'invalid' => CallFailed::ARGUMENT,
        'too_large' => CallFailed::ARGUMENT,
        'unknown_operation' => CallFailed::PROTOCOL,
        'not_plain' => CallFailed::PROTOCOL,
        'answer_too_large' => CallFailed::PROTOCOL,
    ];

    /** The longest wait for the answers of pages, in seconds, that the API takes. */
    private const LONGEST_ASK = 8.0;

    /** How many operations one request may have. */
    private const BATCH = 1000;

    /**
     * The first and the last pause, in microseconds, before a request is made again that has come too late for an upgraded
     * server.
     */
    private const FIRST_PAUSE = 5_000;
    private const LAST_PAUSE = 320_000;

    /**
     * @param Transport $transport requests to the operations port
     * @param float $timeout for how many seconds a call waits at most
     * @param string|null $tokenKey the key of connect tokens
     * @param string|null $secretKey the secret, of which that key is made where there is none
     */
    public function __construct(
        private readonly Transport $transport,
        private readonly float $timeout = 3.0,
        #[\SensitiveParameter] private readonly ?string $tokenKey = null,
        #[\SensitiveParameter] private readonly ?string $secretKey = null,
    ) {
    }

    public function has(string $method): bool
    {
        return isset(self::PARAMETERS[self::OTHER_NAMES[$method] ?? $method]) || in_array($method, self::OWN, true);
    }

    public function call(string $method, array $arguments): mixed
    {
        $method = self::OTHER_NAMES[$method] ?? $method;
        $group = $arguments[0] ?? '';
        if ($group === '' || $group === []) {
            $method = self::OF_EVERYBODY[$method] ?? $method;
        } else {
            $method = self::OF_A_GROUP[$method] ?? $method;
        }

        return match ($method) {
            'deliverToUid' => $this->deliver(...$arguments),
            'isClientProof' => $this->isClientProof(...$arguments),
            'token' => (new ConnectToken(...$arguments))->sign($this->tokenKey, $this->secretKey),
            'setSocketSession' => $this->setSerialized(...$arguments),
            'flush' => true,
            'getUidCountByGroup' => count((array) $this->asked('getUidListByGroup', $arguments)),
            default => $this->asked($method, $arguments),
        };
    }

    /** @param array<mixed> $arguments */
    private function asked(string $method, array $arguments): mixed
    {
        $named = self::named($method, $arguments);
        $wait = $this->timeout;
        if ($method === 'ask') {
            $given = $named['timeout'] ?? $this->timeout;
            $named['timeout'] = min(self::LONGEST_ASK, is_numeric($given) ? (float) $given : $this->timeout);
            $wait += $named['timeout'];
        }

        return self::inFormsOfClass($method, $this->result($this->posted("/api/$method", $named, $wait), $method));
    }

    /**
     * @param array<mixed> $arguments
     * @return array<string, mixed> by the names of the API, without those that are not given
     */
    private static function named(string $method, array $arguments): array
    {
        $names = self::PARAMETERS[$method] ?? throw new UnsupportedCall("There is no $method() over HTTP.");
        $named = [];
        foreach ($names as $at => $name) {
            $value = $arguments[$at] ?? null;
            if ($value === null) {
                continue;
            }
            if ($name === 'session') {
                self::checkSession((array) $value);
            }
            $named[$name] = match (true) {
                // PHP does not tell an empty array from an empty object.
                $name === 'session' && $value === [] => new \stdClass(),
                // JSON would make an object of an array with other keys.
                $name !== 'session' && is_array($value) => array_values($value),
                default => $value,
            };
        }

        return $named;
    }

    /**
     * Refuses what JSON would make something else of.
     *
     * @param array<mixed> $session
     */
    private static function checkSession(array $session): void
    {
        array_walk_recursive($session, function (mixed $value, string|int $key): void {
            if ($value !== null && !is_scalar($value)) {
                $type = get_debug_type($value);
                throw self::wrong("A session has plain values alone over HTTP, and \"$key\" is $type.");
            }
        });
    }

    private static function inFormsOfClass(string $method, mixed $result): mixed
    {
        return match (true) {
            in_array($method, self::TRUE, true) => true,
            in_array($method, self::KEYED, true) => self::keyed($result),
            $method === 'getAllGroupUidList',
            $method === 'getAllGroupClientIdList' => array_map(self::keyed(...), (array) $result),
            $method === 'isUidsOnline' => array_map(intval(...), (array) $result),
            is_bool($result) => (int) $result,
            default => $result,
        };
    }

    /** @return array<string|int, mixed> */
    private static function keyed(mixed $values): array
    {
        $keyed = [];
        foreach ((array) $values as $value) {
            $keyed[is_scalar($value) ? (string) $value : ''] = $value;
        }

        return $keyed;
    }

    /**
     * Delivers to each uid, under one id.
     *
     * @param string|int|array<string|int> $uid
     * @param array<string, mixed> $options
     */
    private function deliver(string|int|array $uid, string $message, array $options = []): string
    {
        $id = $options['id'] ?? bin2hex(random_bytes(16));
        $id = is_string($id) || is_int($id) ? (string) $id : throw self::wrong('deliverToUid: the id is no text.');
        $unknown = array_diff_key($options, array_flip(['id', 'ttl', 'replace', 'new_device', 'binary']));
        if ($unknown !== []) {
            throw self::wrong('deliverToUid: there is no option "' . array_key_first($unknown) . '".');
        }
        $given = array_filter(['id' => $id] + $options, fn (mixed $value) => $value !== null);
        if (isset($given['replace']) && is_int($given['replace'])) {
            $given['replace'] = (string) $given['replace'];
        }
        $deliveries = [];
        foreach (array_unique(array_filter((array) $uid)) as $one) {
            $deliveries[] = ['operation' => 'deliverToUid', 'arguments' => ['uid' => $one, 'message' => $message] + $given];
        }
        foreach (array_chunk($deliveries, self::BATCH) as $batch) {
            $answer = $this->posted('/api/batch', $batch, $this->timeout);
            $results = $answer['results'] ?? null;
            if (!is_array($results) || count($results) !== count($batch)) {
                $this->result($answer, 'deliverToUid');
                throw new CallFailed('deliverToUid: the answer is not that of gateway-server.', CallFailed::PROTOCOL);
            }
            foreach ($results as $result) {
                $this->result((array) $result, 'deliverToUid');
            }
        }

        return $id;
    }

    private function isClientProof(mixed $clientId, mixed $proof): bool
    {
        if (!is_string($clientId) || !is_string($proof) || preg_match('/^[0-9a-f]{20}\z/i', $clientId) !== 1) {
            return false;
        }
        $known = $this->asked('getClientProof', [$clientId]);

        return is_string($known) && hash_equals($known, $proof);
    }

    private function setSerialized(string $clientId, string $serialized): mixed
    {
        $session = $serialized === '' ? [] : @unserialize($serialized, ['allowed_classes' => false]);
        if (!is_array($session)) {
            throw self::wrong('setSocketSession: the session is not a serialized array.');
        }

        return $this->asked('setSession', [$clientId, $session]) ?? true;
    }

    /**
     * @param array<mixed> $content
     * @return array<mixed> the answer, which has a result or an error
     */
    private function posted(string $path, array $content, float $wait): array
    {
        try {
            $flags = JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION;
            $json = json_encode($content === [] ? new \stdClass() : $content, $flags);
        } catch (\JsonException $e) {
            throw self::wrong("What is sent over HTTP has to be UTF-8, in plain values: {$e->getMessage()}");
        }
        for ($pause = self::FIRST_PAUSE;; $pause *= 2) {
            $answer = $this->transport->post($path, $json, $wait);
            $read = json_decode($answer->body, true);
            if (!is_array($read)) {
                $begin = substr(preg_replace('/[^\x20-\x7e]+/', ' ', $answer->body) ?? '', 0, 80);
                throw new CallFailed(
                    "The answer, with the status $answer->status, is not that of gateway-server's HTTP API: $begin",
                    CallFailed::PROTOCOL
                );
            }
            // Another process has taken over, and this one has done nothing.
            if (($read['error']['code'] ?? null) !== 'replaced' || $pause > self::LAST_PAUSE) {
                return $read;
            }
            usleep($pause);
        }
    }

    /** @param array<mixed> $answer */
    private function result(array $answer, string $method): mixed
    {
        if (isset($answer['error'])) {
            $error = (array) $answer['error'];
            $text = fn (string $key) => is_string($error[$key] ?? null) ? $error[$key] : '';
            $kind = self::KINDS[$text('code')] ?? 0;
            throw new CallFailed("$method: {$text('message')} ({$text('code')})", $kind);
        }
        if (!array_key_exists('result', $answer)) {
            throw new CallFailed("$method: the answer is not that of gateway-server's HTTP API.", CallFailed::PROTOCOL);
        }

        return $answer['result'];
    }

    private static function wrong(string $why): CallFailed
    {
        return new CallFailed($why, CallFailed::ARGUMENT);
    }
}
