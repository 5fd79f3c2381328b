<?php

declare(strict_types=1);

// Stands for workerman/gatewayclient, and keeps the calls. Ann has three clients, of which c2 is muted.

namespace GatewayClient;

class Gateway
{
    /** @var string|string[] */
    public static string|array $registerAddress = '127.0.0.1:1236';
    public static string $secretKey = '';
    public static int|float $connectTimeout = 3;

    /** @var list<array<mixed>> method and arguments */
    public static array $calls = [];

    public static function sendToAll($message, $client_id_array = null, $exclude_client_id = null, $raw = false): void
    {
        self::$calls[] = ['sendToAll', ...func_get_args()];
    }

    public static function sendToClient($client_id, $message): bool
    {
        self::$calls[] = ['sendToClient', $client_id, $message];
        return true;
    }

    public static function sendToUid($uid, $message): void
    {
        self::$calls[] = ['sendToUid', $uid, $message];
    }

    public static function sendToGroup($group, $message, $exclude_client_id = null, $raw = false): void
    {
        self::$calls[] = ['sendToGroup', ...func_get_args()];
    }

    public static function destoryClient($client_id): void
    {
        self::$calls[] = ['destoryClient', $client_id];
    }

    public static function closeClient($client_id, $message = null): bool
    {
        self::$calls[] = ['closeClient', $client_id, $message];
        return true;
    }

    /** @return list<string> */
    public static function getClientIdByUid($uid): array
    {
        return $uid === 'ann' ? ['c1', 'c2', 'c3'] : [];
    }

    /** @return array<string, string> */
    public static function getClientIdListByGroup($group): array
    {
        return in_array('muted', (array) $group, true) ? ['c2' => 'c2', 'c4' => 'c4'] : [];
    }

    /** @return array<string, string> */
    public static function getUidListByGroup($group): array
    {
        return $group === 'muted' ? ['ann' => 'ann'] : [];
    }

    /** @return array<string|int, string|int> */
    public static function getAllGroupIdList(): array
    {
        return ['muted' => 'muted', 7 => 7];
    }

    public static function isOnline($client_id): int
    {
        throw new \Exception('can not connect to tcp://127.0.0.1:1236');
    }
}
