<?php

declare(strict_types=1);

namespace PushGateway;

use Psr\EventDispatcher\EventDispatcherInterface;
use Psr\Log\LoggerInterface;
use PushGateway\Exception\InvalidConfiguration;
use PushGateway\Http\Transport;
use PushGateway\Test\FakeGateway;

/**
 * Makes the gateway that a DSN names, so that the same program uses the extension on one machine and HTTP on another:
 *
 *     gateway://127.0.0.1:1238          the extension, or GatewayClient where it is not loaded
 *     gateway://default                 the same at the address of php.ini
 *     gateway:///run/gateway.sock       the same over a unix socket
 *     gateways://push.example.com:1238  the same over TLS
 *     extension://127.0.0.1:1238        the extension and nothing else
 *     gatewayclient://127.0.0.1:1236    GatewayClient and nothing else
 *     http://TOKEN@127.0.0.1:1239       the HTTP API, with the server's operations_token; https:// as well
 *     fake://default                    nothing is sent, for tests
 *
 * Several addresses are separated by commas. What stands before the `@` of the others is the server's secret_key. Options follow
 * the `?`, or stand in an array beside `dsn`: `operationsToken`, `operationsTokenFile`, `secretKey`, `secretKeyFile`,
 * `tokenKey`, `tokenKeyFile`, `connectTimeout` in seconds, and `onError`, which is `throw` or `log`.
 */
final class GatewayFactory
{
    private const OPTIONS = [
        'operationsToken', 'operationsTokenFile', 'secretKey', 'secretKeyFile', 'tokenKey', 'tokenKeyFile', 'connectTimeout',
        'onError',
    ];

    /**
     * @param string|array<string, mixed> $dsn the DSN, or an array that has it as `dsn`, and options, of which null is none
     * @param Transport|null $transport what makes the requests to an HTTP API, in place of PHP's streams; the DSN is `http:` then
     */
    public static function create(
        #[\SensitiveParameter] string|array $dsn,
        ?LoggerInterface $logger = null,
        ?EventDispatcherInterface $events = null,
        ?Transport $transport = null,
    ): GatewayInterface {
        $given = is_array($dsn) ? $dsn : ['dsn' => $dsn];
        $text = $given['dsn'] ?? null;
        $form = '~^(?<scheme>[a-z]+):(?://(?:(?<secret>[^@/?#]*)@)?(?<hosts>[^/?#@]*)(?<path>/[^?#]*)?)?(?:\?(?<query>.*))?\z~';
        if (!is_string($text) || preg_match($form, $text, $parts) !== 1) {
            throw new InvalidConfiguration('The DSN is none such as gateway://127.0.0.1:1238 or http://127.0.0.1:1239.');
        }
        parse_str($parts['query'] ?? '', $options);
        $options = array_filter(array_diff_key($given, ['dsn' => true]), fn (mixed $value) => $value !== null) + $options;
        $unknown = array_key_first(array_diff_key($options, array_flip(self::OPTIONS)));
        if ($unknown !== null) {
            throw new InvalidConfiguration("There is no option $unknown: there are " . implode(', ', self::OPTIONS) . '.');
        }
        $secret = rawurldecode($parts['secret'] ?? '');
        $hosts = $parts['hosts'] ?? '';
        $path = $parts['path'] ?? '';
        $common = [
            'tokenKey' => self::key($options, 'tokenKey'),
            'connectTimeout' => self::seconds($options),
            'logger' => $logger,
            'events' => $events,
            'onError' => self::onError($options),
        ];

        if ($parts['scheme'] === 'http' || $parts['scheme'] === 'https') {
            return new HttpGateway(
                $transport ?? "$parts[scheme]://$hosts$path",
                $transport === null ? self::operationsToken($options, $secret) : null,
                self::key($options, 'secretKey'),
                ...$common
            );
        }
        if ($transport !== null) {
            throw new InvalidConfiguration("A transport is for http:, and the DSN is $parts[scheme]:.");
        }
        if ($parts['scheme'] === 'fake') {
            return new FakeGateway($logger, $events, $common['onError']);
        }
        $settings = [
            'registerAddress' => self::addresses($parts['scheme'], $hosts, $path),
            'secretKey' => $secret !== '' ? $secret : self::key($options, 'secretKey'),
            ...$common,
        ];

        return match (true) {
            $parts['scheme'] === 'extension' => new ExtensionGateway(...$settings),
            $parts['scheme'] === 'gatewayclient' => new GatewayClientGateway(...$settings),
            extension_loaded('gateway') => new ExtensionGateway(...$settings),
            class_exists(\GatewayClient\Gateway::class) => new GatewayClientGateway(...$settings),
            default => throw new InvalidConfiguration(
                'The extension gateway is not loaded. Install it or the package workerman/gatewayclient, or name the HTTP API of '
                . 'the server by a DSN such as http://127.0.0.1:1239.'
            ),
        };
    }

    /** @param array<mixed> $options */
    private static function operationsToken(array $options, string $ofDsn): ?string
    {
        $given = self::key($options, 'operationsToken');
        if ($given !== null && $ofDsn !== '') {
            throw new InvalidConfiguration('The operations token stands in the DSN and in an option. Keep one.');
        }

        return $ofDsn !== '' ? $ofDsn : $given;
    }

    /** @return string|list<string>|null */
    private static function addresses(string $scheme, string $hosts, string $path): string|array|null
    {
        $before = match ($scheme) {
            'gateway', 'extension', 'gatewayclient' => '',
            'gateways' => 'tls://',
            default => throw new InvalidConfiguration(
                "There is no $scheme: there are gateway, gateways, extension, gatewayclient, http, https and fake."
            ),
        };
        if ($hosts === '' && $path !== '') {
            return "unix://$path";
        }
        if ($hosts === '' || $hosts === 'default') {
            return null;
        }
        $addresses = [];
        foreach (explode(',', $hosts) as $host) {
            if (preg_match('~^([^:\[\]]+|\[[0-9a-fA-F:]+\]):\d{1,5}\z~', $host) !== 1) {
                throw new InvalidConfiguration("$host is no address such as 127.0.0.1:1238.");
            }
            $addresses[] = $before . $host;
        }

        return count($addresses) === 1 ? $addresses[0] : $addresses;
    }

    /** @param array<mixed> $options */
    private static function key(array $options, string $name): ?string
    {
        $key = $options[$name] ?? null;
        $file = $options["{$name}File"] ?? null;
        if ($key !== null && $file !== null) {
            throw new InvalidConfiguration("$name and {$name}File are both set. Keep one.");
        }
        if ($file !== null) {
            return KeyFile::read(is_string($file) ? $file : '');
        }
        if ($key !== null && (!is_string($key) || $key === '')) {
            throw new InvalidConfiguration(
                "$name is empty. PHP-FPM hands no environment on unless its pool has clear_env = no: name a file in {$name}File."
            );
        }

        return $key;
    }

    /** @param array<mixed> $options */
    private static function seconds(array $options): ?float
    {
        $seconds = $options['connectTimeout'] ?? null;
        if ($seconds !== null && (!is_numeric($seconds) || $seconds <= 0)) {
            throw new InvalidConfiguration('connectTimeout must be more than 0 seconds.');
        }

        return $seconds === null ? null : (float) $seconds;
    }

    /** @param array<mixed> $options */
    private static function onError(array $options): OnError
    {
        $onError = $options['onError'] ?? OnError::Throw->value;

        return (is_string($onError) ? OnError::tryFrom($onError) : null)
            ?? throw new InvalidConfiguration('onError is neither "throw" nor "log".');
    }
}
