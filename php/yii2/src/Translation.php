<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use Yii;
use yii\i18n\PhpMessageSource;

/**
 * Translates what users read. An application can replace the texts by its own if it configures the category itself:
 *
 *     'i18n' => ['translations' => ['push-gateway' => ['class' => PhpMessageSource::class, 'basePath' => '@app/messages']]],
 */
final class Translation
{
    public const CATEGORY = 'push-gateway';

    /** @param array<string, string|int|float> $params */
    public static function t(string $message, array $params = []): string
    {
        // The category is set up here because the package must work where no bootstrap of extensions runs.
        Yii::$app->getI18n()->translations[self::CATEGORY] ??= [
            'class' => PhpMessageSource::class,
            'basePath' => __DIR__ . '/messages',
            'sourceLanguage' => 'en-US',
        ];

        return Yii::t(self::CATEGORY, $message, $params);
    }
}
