<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use Yii;
use yii\i18n\PhpMessageSource;

/**
 * What the package says to people, in their language. An application that sets up the category itself has its own texts:
 *
 *     'i18n' => ['translations' => ['push-gateway' => ['class' => PhpMessageSource::class, 'basePath' => '@app/messages']]],
 */
final class Translation
{
    public const CATEGORY = 'push-gateway';

    /** @param array<string, string|int|float> $params */
    public static function t(string $message, array $params = []): string
    {
        // Only now, so that the package works where no bootstrap of extensions runs.
        Yii::$app->getI18n()->translations[self::CATEGORY] ??= [
            'class' => PhpMessageSource::class,
            'basePath' => __DIR__ . '/messages',
            'sourceLanguage' => 'en-US',
        ];

        return Yii::t(self::CATEGORY, $message, $params);
    }
}
