<?php

namespace app\models;

use yii\base\BaseObject;
use yii\web\IdentityInterface;

/** The two users that the application template comes with. */
class User extends BaseObject implements IdentityInterface
{
    private const NAMES = ['100' => 'admin', '101' => 'demo'];

    public string $id;

    public static function findIdentity($id)
    {
        return isset(self::NAMES[$id]) ? new self(['id' => (string) $id]) : null;
    }

    public static function findByUsername(string $name, string $password): ?self
    {
        return $name === $password ? self::findIdentity(array_search($name, self::NAMES, true)) : null;
    }

    public static function findIdentityByAccessToken($token, $type = null)
    {
        return null;
    }

    public function getId()
    {
        return $this->id;
    }

    public function getAuthKey()
    {
        return "key of $this->id";
    }

    public function validateAuthKey($authKey)
    {
        return $authKey === $this->getAuthKey();
    }
}
