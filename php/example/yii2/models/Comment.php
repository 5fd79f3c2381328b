<?php

declare(strict_types=1);

namespace app\models;

use GatewayClient\Gateway;
use yii\db\ActiveQuery;
use yii\db\ActiveRecord;

/**
 * A comment that one user wrote to another.
 *
 * @property int $id
 * @property int $authorId
 * @property int $receiverId
 * @property string $content
 * @property string $createdAt in UTC
 * @property-read User $author
 * @property-read User $receiver
 */
class Comment extends ActiveRecord
{
    /** @return self[] the last ones that the user sent or received, newest first */
    public static function latest(?int $userId): array
    {
        return self::find()
            ->with('author', 'receiver')
            ->where(['or', ['authorId' => $userId], ['receiverId' => $userId]])
            ->orderBy(['id' => SORT_DESC])
            ->limit(50)
            ->all();
    }

    public function rules()
    {
        return [
            ['content', 'filter', 'filter' => self::tidy(...), 'skipOnArray' => true],
            [['receiverId', 'content'], 'required'],
            ['receiverId', 'integer'],
            ['receiverId', 'exist', 'targetClass' => User::class, 'targetAttribute' => 'id'],
            // Uids are compared as strings, so "+2" would not reach the user whose uid is "2".
            ['receiverId', 'filter', 'filter' => 'intval'],
            ['content', 'string', 'max' => 1000],
        ];
    }

    public function attributeLabels()
    {
        return ['receiverId' => 'To', 'content' => 'Comment'];
    }

    /** Browsers send CR LF for a line end, which the textarea's maxlength counts as one character. */
    private static function tidy(?string $content): string
    {
        return trim(str_replace("\r\n", "\n", (string) $content));
    }

    public function getAuthor(): ActiveQuery
    {
        return $this->hasOne(User::class, ['id' => 'authorId']);
    }

    public function getReceiver(): ActiveQuery
    {
        return $this->hasOne(User::class, ['id' => 'receiverId']);
    }

    public function afterSave($insert, $changedAttributes) {
        /**
         * 通知被评论者
         */
        Gateway::$registerAddress = '127.0.0.1:1238';
        // 这里的消息必须做json_encode
        Gateway::sendToUid($this->receiverId, json_encode('有新评论'));
    }
}
