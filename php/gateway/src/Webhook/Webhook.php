<?php

declare(strict_types=1);

namespace PushGateway\Webhook;

/**
 * Checks that a request comes from the gateway, and gives the notices of the inbox that it brings. It needs no framework:
 *
 *     $webhook = new \PushGateway\Webhook\Webhook($secret);
 *     $body = file_get_contents('php://input', length: \PushGateway\Webhook\Webhook::MAX_BODY + 1);
 *     $notices = $webhook->verify($body, getallheaders());
 *
 * Requests are signed as the specification Standard Webhooks says (https://www.standardwebhooks.com).
 */
final class Webhook
{
    /** The longest body, in bytes. */
    public const MAX_BODY = 1 << 20;

    /** By how many seconds the time of a request and that of this machine may differ, where the constructor is not told. */
    public const TOLERANCE = 300;

    /** The beginning of every secret, before its bytes in base64. */
    private const SECRET_PREFIX = 'whsec_';
    private const SHORTEST_SECRET = 24;
    private const LONGEST_SECRET = 64;

    /** The longest value of a header, in bytes. That of the signatures has room for some forty of them. */
    private const MAX_HEADER = 2048;

    /** An id is signed before a dot, so it has none. */
    private const ID = '/^[\x21-\x2d\x2f-\x7e]{1,255}\z/';
    private const TIMESTAMP = '/^[0-9]{1,12}\z/';

    /** @var non-empty-list<string> the bytes of each secret */
    private readonly array $keys;

    /**
     * @param string|array<string> $secret `whsec_` and 24 to 64 bytes in base64; the old one and the new one while the gateway's
     * is being changed
     * @param int $tolerance by how many seconds the time of a request may differ from that of this machine
     */
    public function __construct(
        #[\SensitiveParameter] string|array $secret,
        private readonly int $tolerance = self::TOLERANCE
    ) {
        $keys = array_map(self::key(...), array_values((array) $secret));
        if ($keys === []) {
            throw new \InvalidArgumentException('A webhook is checked by a secret, and there is none.');
        }
        $this->keys = $keys;
    }

    /**
     * Gives the notices of a request, or throws a {@see WebhookException} that says why it is not to be believed.
     *
     * @param string $body as it was received, byte by byte
     * @param array<mixed> $headers by name, whatever its case, as `getallheaders()` or `$_SERVER` has them; a value may be a list
     * @param int|null $now the time in seconds since 1970; null stands for that of this machine
     */
    public function verify(string $body, array $headers, ?int $now = null): Notices
    {
        if (strlen($body) > self::MAX_BODY) {
            $why = 'The body has more than ' . self::MAX_BODY . ' bytes, the most that a webhook may have.';
            throw new WebhookException(Failure::BodyTooLong, $why);
        }
        $found = self::find($headers);
        $id = self::header($found, 'webhook-id', self::ID);
        $timestamp = self::header($found, 'webhook-timestamp', self::TIMESTAMP);
        $signatures = self::header($found, 'webhook-signature');
        $this->checkTime((int) $timestamp, $now ?? time());
        $this->checkSignature($signatures, "$id.$timestamp.$body");

        return Notices::read($id, $body);
    }

    private function checkTime(int $timestamp, int $now): void
    {
        if (abs($now - $timestamp) > $this->tolerance) {
            $seconds = abs($now - $timestamp);
            $where = $timestamp < $now ? 'behind' : 'ahead of';
            $why = "The webhook-timestamp is $seconds seconds $where the clock of this machine, more than the $this->tolerance"
                . ' allowed.';
            throw new WebhookException(Failure::WrongTime, $why);
        }
    }

    /** Compares each signature with that of each secret, in a time that does not depend on where they differ. */
    private function checkSignature(string $signatures, string $signed): void
    {
        $expected = array_map(fn (string $key) => self::sign($signed, $key), $this->keys);
        $isGood = false;
        foreach (explode(' ', $signatures) as $signature) {
            foreach ($expected as $one) {
                $isGood = hash_equals($one, $signature) || $isGood;
            }
        }
        if (!$isGood) {
            $why = 'No webhook-signature is that of the secret for this body: the secret is another one than the gateway\'s, or '
                . 'the body was changed on its way.';
            throw new WebhookException(Failure::WrongSignature, $why);
        }
    }

    private static function sign(string $signed, string $key): string
    {
        return 'v1,' . base64_encode(hash_hmac('sha256', $signed, $key, true));
    }

    private static function key(string $secret): string
    {
        $hasPrefix = str_starts_with($secret, self::SECRET_PREFIX);
        $key = $hasPrefix ? base64_decode(substr($secret, strlen(self::SECRET_PREFIX)), true) : false;
        if ($key === false || strlen($key) < self::SHORTEST_SECRET || strlen($key) > self::LONGEST_SECRET) {
            throw new \InvalidArgumentException(
                'A webhook\'s secret is ' . self::SECRET_PREFIX . ' and base64 of ' . self::SHORTEST_SECRET . ' to '
                . self::LONGEST_SECRET . ' bytes.'
            );
        }

        return $key;
    }

    /**
     * Gives the values of the headers that begin with `webhook-`, by their names in small letters.
     *
     * @param array<mixed> $headers
     * @return array<string, list<string>>
     */
    private static function find(array $headers): array
    {
        $found = [];
        foreach ($headers as $name => $values) {
            $name = strtr(strtolower((string) $name), '_', '-');
            $name = str_starts_with($name, 'http-') ? substr($name, 5) : $name;
            if (str_starts_with($name, 'webhook-')) {
                $strings = array_filter((array) $values, 'is_string');
                $found[$name] = [...$found[$name] ?? [], ...array_values($strings)];
            }
        }

        return $found;
    }

    /** @param array<string, list<string>> $found */
    private static function header(array $found, string $name, ?string $pattern = null): string
    {
        $values = $found[$name] ?? [];
        $why = match (true) {
            count($values) === 0 => 'is missing',
            count($values) > 1 => 'comes ' . count($values) . ' times',
            strlen($values[0]) > self::MAX_HEADER => 'has more than ' . self::MAX_HEADER . ' bytes',
            $pattern !== null && preg_match($pattern, $values[0]) !== 1 => 'is not of its form',
            default => null,
        };
        if ($why !== null) {
            throw new WebhookException(Failure::BadHeader, "The header $name $why.");
        }

        return $values[0];
    }
}
