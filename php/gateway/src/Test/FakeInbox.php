<?php

declare(strict_types=1);

namespace PushGateway\Test;

/**
 * What {@see FakeGateway} keeps of delivered messages, in place of a server. No page takes anything by itself: {@see fetch()}
 * does what a device does. Messages wait without end, and nothing has to go for others.
 *
 *     $gateway->deliverToUid('ann', ['type' => 'invoice'], ['id' => 'invoice-12']);
 *     $this->assertSame(['invoice-12' => '{"type":"invoice"}'], $gateway->inbox->messages('ann'));
 *     $this->assertSame(['{"type":"invoice"}'], $gateway->inbox->fetch('ann', 'phone'));
 *
 * @phpstan-type Kept array{
 *     message: string, stored: int, expires: int, replace: ?string, isReplaced: bool, isForAll: bool,
 *     got: array<string|int, ?int>
 * }
 */
class FakeInbox
{
    private const OPTIONS = ['ttl' => true, 'id' => true, 'replace' => true, 'new_device' => true, 'binary' => true];
    private const MAX_MESSAGE = 65536;
    private const DEFAULT_TTL = 604800;
    private const LONGEST_TTL = 2592000;

    /** @var array<string|int, array<string|int, Kept>> what was delivered, by uid and id */
    private array $kept = [];

    /** @var array<string|int, array<string|int, int>> when each device of a uid was last here */
    private array $devices = [];

    /**
     * Gives the messages that wait for a uid: those that not all of its devices have got.
     *
     * @return array<string|int, string> texts by id
     */
    public function messages(string|int $uid): array
    {
        $waiting = array_filter($this->kept[$uid] ?? [], fn (array $message) => $this->isWaiting($uid, $message));

        return array_map(fn (array $message) => $message['message'], $waiting);
    }

    /**
     * Gives what waits for a device of a uid, as if its page had come, and takes that the page has handled it.
     *
     * @return list<string>
     */
    public function fetch(string|int $uid, string $device = ''): array
    {
        $now = self::now();
        $isNewDevice = !isset($this->devices[$uid][$device]);
        $this->devices[$uid][$device] = $now;
        $messages = [];
        foreach ($this->kept[$uid] ?? [] as $id => $message) {
            if ($message['isReplaced'] || array_key_exists($device, $message['got'])) {
                continue;
            }
            // A new device does not get what others have got, which is null here, unless the message is for all.
            $isForIt = !$isNewDevice || $message['isForAll'] || array_filter($message['got']) === [];
            $this->kept[$uid][$id]['got'][$device] = $isForIt ? $now : null;
            if ($isForIt) {
                $messages[] = $message['message'];
            }
        }

        return $messages;
    }

    /**
     * @param array<mixed> $uids
     * @param array<mixed> $options
     * @return string the id
     */
    public function deliver(array $uids, string $message, array $options): string
    {
        self::check($message, $options);
        /** @var array{ttl?: int, id?: string|int|null, replace?: string|int|null, new_device?: string} $options */
        $id = (string) ($options['id'] ?? bin2hex(random_bytes(16)));
        $replace = isset($options['replace']) ? (string) $options['replace'] : null;
        foreach ($uids as $uid) {
            if (!is_string($uid) && !is_int($uid) || empty($uid) || isset($this->kept[$uid][$id])) {
                continue;
            }
            foreach ($replace === null ? [] : $this->kept[$uid] ?? [] as $other => $before) {
                $this->kept[$uid][$other]['isReplaced'] = $before['isReplaced'] || $before['replace'] === $replace;
            }
            $now = self::now();
            $this->kept[$uid][$id] = [
                'message' => $message,
                'stored' => $now,
                'expires' => $now + ($options['ttl'] ?? self::DEFAULT_TTL) * 1000,
                'replace' => $replace,
                'isReplaced' => false,
                'isForAll' => ($options['new_device'] ?? null) === 'all',
                'got' => [],
            ];
        }

        return $id;
    }

    /**
     * @return list<array{uid: string, stored: int, expires: int, waiting: bool, devices: list<array{
     *     device: string, signed: bool, written: ?int, received: ?int, read: ?int
     * }>}>
     */
    public function receipt(string $id): array
    {
        $receipts = [];
        foreach ($this->kept as $uid => $messages) {
            if (!isset($messages[$id])) {
                continue;
            }
            $devices = [];
            foreach (array_keys($this->devices[$uid] ?? []) as $device) {
                $at = $messages[$id]['got'][$device] ?? null;
                if ($at !== null) {
                    $got = ['written' => $at, 'received' => $at, 'read' => null];
                    $devices[] = ['device' => (string) $device, 'signed' => false] + $got;
                }
            }
            $receipts[] = [
                'uid' => (string) $uid,
                'stored' => $messages[$id]['stored'],
                'expires' => $messages[$id]['expires'],
                'waiting' => $this->isWaiting($uid, $messages[$id]),
                'devices' => $devices,
            ];
        }

        return $receipts;
    }

    /**
     * @return array{messages: int, bytes: int, devices: list<array{
     *     device: string, signed: bool, waiting: int, lost: int, seen: int
     * }>}|null
     */
    public function of(string|int $uid): ?array
    {
        if (!isset($this->kept[$uid]) && !isset($this->devices[$uid])) {
            return null;
        }
        $devices = [];
        foreach ($this->devices[$uid] ?? [] as $device => $seen) {
            $waiting = 0;
            foreach ($this->kept[$uid] ?? [] as $message) {
                $waiting += (int) (!$message['isReplaced'] && !array_key_exists($device, $message['got']));
            }
            $counts = ['waiting' => $waiting, 'lost' => 0, 'seen' => $seen];
            $devices[] = ['device' => (string) $device, 'signed' => false] + $counts;
        }
        $waiting = $this->messages($uid);

        return ['messages' => count($waiting), 'bytes' => strlen(implode('', $waiting)), 'devices' => $devices];
    }

    public function forget(string|int $uid): void
    {
        unset($this->kept[$uid], $this->devices[$uid]);
    }

    /** @param Kept $message */
    private function isWaiting(string|int $uid, array $message): bool
    {
        $devices = $this->devices[$uid] ?? [];
        $isLacking = $devices === [] || array_diff_key($devices, $message['got']) !== [];

        return !$message['isReplaced'] && ($message['isForAll'] || $isLacking);
    }

    /**
     * Refuses what the extension refuses.
     *
     * @param array<mixed> $options
     */
    private static function check(string $message, array $options): void
    {
        $isName = fn (string $option) => !isset($options[$option])
            || (is_string($options[$option]) || is_int($options[$option]))
            && preg_match('/^[A-Za-z0-9_-]{1,64}\z/', (string) $options[$option]) === 1;
        $ttl = array_key_exists('ttl', $options) ? $options['ttl'] : self::DEFAULT_TTL;
        $newDevice = array_key_exists('new_device', $options) ? $options['new_device'] : 'unacknowledged';
        $unknown = array_key_first(array_diff_key($options, self::OPTIONS));
        $why = match (true) {
            $unknown !== null => "there is no option \"$unknown\": there are id, ttl, replace, new_device and binary",
            !is_int($ttl) || $ttl < 1 || $ttl > self::LONGEST_TTL =>
                'ttl must be an int from 1 to ' . self::LONGEST_TTL . ', which are seconds',
            !$isName('id') => 'id must be 1 to 64 letters, digits, _ and -',
            !$isName('replace') => 'replace must be 1 to 64 letters, digits, _ and -',
            !in_array($newDevice, ['all', 'unacknowledged'], true) => "new_device must be 'all' or 'unacknowledged'",
            !is_bool($options['binary'] ?? false) => 'binary must be a bool or null',
            strlen($message) > self::MAX_MESSAGE => 'it has ' . strlen($message) . ' bytes, more than the '
                . self::MAX_MESSAGE . ' that are kept for who is not there',
            preg_match('//u', $message) !== 1 =>
                'it is not UTF-8, as pages get it as text; encode it, as by base64_encode',
            default => null,
        };
        if ($why !== null) {
            throw new \RuntimeException("the message was not delivered: $why");
        }
    }

    /** Gives the time in milliseconds since 1970. */
    private static function now(): int
    {
        return (int) (microtime(true) * 1000);
    }
}
