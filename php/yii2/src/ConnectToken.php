<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use PushGateway\Exception\InvalidConfiguration;
use yii\base\InvalidArgumentException;
use yii\base\InvalidConfigException;

/** Makes a connect token without the extension, and fails by Yii's exceptions. */
final class ConnectToken
{
    private readonly \PushGateway\ConnectToken $token;

    /**
     * @param array<string|int> $groups
     * @param array<mixed> $session
     */
    public function __construct(
        string|int $uid,
        int $ttl,
        array $groups = [],
        array $session = [],
        bool $once = false,
        ?string $device = null,
    ) {
        try {
            $this->token = new \PushGateway\ConnectToken($uid, $ttl, $groups, $session, $once, $device);
        } catch (\InvalidArgumentException $e) {
            throw new InvalidArgumentException($e->getMessage(), 0, $e);
        }
    }

    public function sign(?string $tokenKey, ?string $secretKey): string
    {
        try {
            return $this->token->sign($tokenKey, $secretKey);
        } catch (InvalidConfiguration $e) {
            throw new InvalidConfigException($e->getMessage(), 0, $e);
        }
    }
}
