<?php

declare(strict_types=1);

namespace PushGateway;

use PushGateway\Exception\InvalidConfiguration;

/** Makes a connect token without the extension: a JSON Web Token, signed by HMAC-SHA-256. */
final class ConnectToken
{
    /** The shortest secret, in bytes, from which a key is derived. */
    private const MIN_SECRET = 16;

    /** The longest name of a device, in bytes. */
    private const MAX_DEVICE = 64;

    /**
     * @param array<string|int> $groups
     * @param array<mixed> $session
     */
    public function __construct(
        private readonly string|int $uid,
        private readonly int $ttl = 3600,
        private readonly array $groups = [],
        private readonly array $session = [],
        private readonly bool $once = false,
        private readonly ?string $device = null,
    ) {
        if ((string) $uid === '' || $ttl < 1) {
            throw new \InvalidArgumentException('A token needs a uid, and a time of a second or more.');
        }
        if ($device !== null && ($device === '' || strlen($device) > self::MAX_DEVICE)) {
            throw new \InvalidArgumentException('The name of a device has 1 to ' . self::MAX_DEVICE . ' bytes.');
        }
    }

    public function sign(#[\SensitiveParameter] ?string $tokenKey, #[\SensitiveParameter] ?string $secretKey): string
    {
        $key = match (true) {
            $tokenKey !== null && $tokenKey !== '' => $tokenKey,
            $secretKey !== null && $secretKey !== '' => self::derivedKey($secretKey),
            default => throw new InvalidConfiguration('A token has to be signed: set tokenKey or secretKey.'),
        };
        $claims = ['sub' => (string) $this->uid, 'exp' => time() + $this->ttl];
        $claims += $this->groups === [] ? [] : ['groups' => array_map('strval', array_values($this->groups))];
        $claims += $this->session === [] ? [] : ['session' => (object) $this->session];
        $claims += $this->once ? ['jti' => bin2hex(random_bytes(16))] : [];
        $claims += $this->device === null ? [] : ['dev' => $this->device];
        $json = json_encode($claims, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
        $signed = self::encode('{"typ":"JWT","alg":"HS256"}') . '.' . self::encode($json);

        return "$signed." . self::encode(hash_hmac('sha256', $signed, $key, true));
    }

    /** The key that the gateway derives from the same secret. */
    private static function derivedKey(#[\SensitiveParameter] string $secretKey): string
    {
        if (strlen($secretKey) < self::MIN_SECRET) {
            throw new InvalidConfiguration(
                'Whoever has a token could find out a secretKey of fewer than ' . self::MIN_SECRET
                . ' bytes by trying: set tokenKey to the token_key of gateway-server.'
            );
        }

        return hash_hmac('sha256', 'gateway connect token v1', $secretKey, true);
    }

    private static function encode(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}
