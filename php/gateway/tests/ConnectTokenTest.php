<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PHPUnit\Framework\TestCase;
use PushGateway\ConnectToken;
use PushGateway\Exception\InvalidConfiguration;

/** A server takes such tokens in an end to end test of the project. */
final class ConnectTokenTest extends TestCase
{
    public function testTheClaimsAreSigned(): void
    {
        $token = (new ConnectToken(7, 60, ['é', 5], ['a' => []], true, 'phone'))->sign('key', 'ignored');
        [$header, $payload, $signature] = explode('.', $token);
        $this->assertSame('{"typ":"JWT","alg":"HS256"}', base64_decode($header));
        $claims = json_decode((string) base64_decode(strtr($payload, '-_', '+/')), true);
        $this->assertEqualsWithDelta(time() + 60, $claims['exp'], 2);
        $this->assertMatchesRegularExpression('/^[0-9a-f]{32}$/', $claims['jti']);
        unset($claims['exp'], $claims['jti']);
        $this->assertSame(['sub' => '7', 'groups' => ['é', '5'], 'session' => ['a' => []], 'dev' => 'phone'], $claims);
        $expected = base64_encode(hash_hmac('sha256', "$header.$payload", 'key', true));
        $this->assertSame(rtrim(strtr($expected, '+/', '-_'), '='), $signature);
    }

    public function testAKeyIsDerivedOfASecret(): void
    {
        $key = hash_hmac('sha256', 'gateway connect token v1', 'a secret of sixteen', true);
        $parts = explode('.', (new ConnectToken('ann'))->sign(null, 'a secret of sixteen'));
        $expected = base64_encode(hash_hmac('sha256', "$parts[0].$parts[1]", $key, true));
        $this->assertSame(rtrim(strtr($expected, '+/', '-_'), '='), $parts[2]);
    }

    /** @dataProvider wrong */
    public function testWhatMakesNoTokenIsRefused(\Closure $makes, string $class): void
    {
        $this->expectException($class);
        $makes();
    }

    /** @return array<string, array{\Closure, class-string<\Throwable>}> */
    public static function wrong(): array
    {
        return [
            'no uid' => [fn () => new ConnectToken(''), \InvalidArgumentException::class],
            'no time' => [fn () => new ConnectToken('ann', 0), \InvalidArgumentException::class],
            'no device' => [fn () => new ConnectToken('ann', device: ''), \InvalidArgumentException::class],
            'a long device' => [fn () => new ConnectToken('ann', device: str_repeat('x', 65)), \InvalidArgumentException::class],
            'no key' => [fn () => (new ConnectToken('ann'))->sign('', null), InvalidConfiguration::class],
            'a short secret' => [fn () => (new ConnectToken('ann'))->sign(null, 'short'), InvalidConfiguration::class],
        ];
    }
}
