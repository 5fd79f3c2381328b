<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

use yii\web\IdentityInterface;

final class Visitor implements IdentityInterface
{
    public function __construct(private readonly string $id)
    {
    }

    public static function findIdentity($id): self
    {
        return new self($id);
    }

    public static function findIdentityByAccessToken($token, $type = null): ?self
    {
        return null;
    }

    public function getId(): string
    {
        return $this->id;
    }

    public function getAuthKey(): ?string
    {
        return null;
    }

    public function validateAuthKey($authKey): bool
    {
        return false;
    }
}
