<?php

declare(strict_types=1);

namespace app\models;

use yii\base\NotSupportedException;
use yii\db\ActiveRecord;
use yii\web\IdentityInterface;

/**
 * A user of the demo, whose id is the uid that the gateway knows.
 *
 * @property int $id
 * @property string $username
 */
class User extends ActiveRecord implements IdentityInterface
{
    /** @return array<int, string> usernames by id */
    public static function names(): array
    {
        return self::find()->select('username')->indexBy('id')->orderBy('id')->column();
    }

    public static function findIdentity($id)
    {
        return self::findOne(['id' => $id]);
    }

    public static function findIdentityByAccessToken($token, $type = null)
    {
        throw new NotSupportedException('Demo users have no access tokens.');
    }

    public function getId()
    {
        return $this->id;
    }

    /** Demo users have no keys, since there is no "remember me". */
    public function getAuthKey()
    {
        return null;
    }

    public function validateAuthKey($authKey)
    {
        return false;
    }
}
