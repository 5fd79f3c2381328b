<?php

declare(strict_types=1);

namespace PushGateway\Yii2\console;

use PushGateway\Yii2\Translation;

/** Tells a gateway that is away from one that refuses, by the words of the exception that a call has thrown. */
final class FailedCall
{
    /** What the extension, workerman/gatewayclient and the HTTP API say of a secret that is not the gateway's. */
    private const SECRET = [
        'the gateway refused the login',
        'as it does when the secret is wrong',
        'takes only a secret that is UTF-8',
        'getAllGatewayAddressesFromRegister fail',
        '(unauthorized)',
    ];
    private const REFUSED = ['refused the call', '(refused)'];
    private const SILENT = ['did not answer within', 'has said nothing for', 'was not answered', 'did not come in time'];
    private const AWAY = [
        'can not connect to', 'connection close tcp://', 'Connection refused', 'actively refused', 'getaddrinfo for',
        'connection has ended',
    ];

    /** Gives a sentence that says what the gateway has done. The exception's own words say why. */
    public static function describe(\Exception $thrown): string
    {
        $says = function (array $words) use ($thrown): bool {
            return array_filter($words, fn (string $one) => stripos($thrown->getMessage(), $one) !== false) !== [];
        };

        return match (true) {
            $says(self::SECRET) => Translation::t('The push gateway does not take the secret.'),
            $says(self::REFUSED) => Translation::t('The push gateway refuses the call.'),
            $says(self::SILENT) => Translation::t('The push gateway does not answer.'),
            $says(self::AWAY) => Translation::t('The push gateway cannot be reached.'),
            default => Translation::t('The push gateway has not done it.'),
        };
    }
}
