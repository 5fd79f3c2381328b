<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

/** Has the methods of GatewayClient 3.1 that sends need, and keeps the calls. Ann has three clients, of which c2 is muted. */
final class OldClient
{
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

    public static function closeClient($client_id, $message = null): bool
    {
        self::$calls[] = ['closeClient', $client_id, $message];
        return true;
    }

    public static function getClientIdCountByGroup(string $group = ''): int
    {
        return $group === '77' ? 2 : 0;
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
}
