<?php

declare(strict_types=1);

namespace PushGateway\Test;

/** A webhook as the gateway sends it, for tests of what receives it. */
final class SignedWebhook
{
    public const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr';

    /** The two receipts and the one message of {@see BODY}, as programs get them. */
    public const RECEIPTS = [
        ['uid' => 'anna', 'id' => 'm1', 'device' => 'phone', 'signed' => false, 'event' => 'received', 'at' => 1764446400000],
        ['uid' => "\xff", 'id' => 'm2', 'device' => '', 'signed' => true, 'event' => 'read', 'at' => 1764446400001],
    ];
    public const UNDELIVERED = [['uid' => 'anna', 'id' => 'm3', 'stored' => 1764446400000]];

    public const BODY = '{"type":"inbox.notices","timestamp":"2026-11-29T20:00:00Z","data":{"receipts":['
        . '{"uid":"anna","id":"m1","device":"phone","signed":false,"event":"received","at":1764446400000},'
        . '{"uid":{"base64":"/w=="},"id":"m2","device":"","signed":true,"event":"read","at":1764446400001}'
        . '],"undelivered":[{"uid":"anna","id":"m3","stored":1764446400000}]}}';

    /** @return array<string, string> the headers of a body */
    public static function headers(string $body, string $secret = self::SECRET, ?int $time = null): array
    {
        $time ??= time();
        $key = base64_decode(substr($secret, strlen('whsec_')));

        return [
            'Webhook-Id' => 'msg_1',
            'Webhook-Timestamp' => (string) $time,
            'Webhook-Signature' => 'v1,' . base64_encode(hash_hmac('sha256', "msg_1.$time.$body", $key, true)),
        ];
    }
}
