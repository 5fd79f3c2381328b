<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PHPUnit\Framework\TestCase;
use Psr\Log\NullLogger;
use PushGateway\Exception\CallFailed;
use PushGateway\Exception\InvalidConfiguration;
use PushGateway\ExtensionGateway;
use PushGateway\GatewayFactory;
use PushGateway\HttpGateway;
use PushGateway\Http\Answer;
use PushGateway\Http\Transport;
use PushGateway\Test\FakeGateway;

final class GatewayFactoryTest extends TestCase
{
    public function testADsnNamesTheImplementation(): void
    {
        $this->assertInstanceOf(HttpGateway::class, GatewayFactory::create('http://127.0.0.1:1239'));
        $dsn = 'https://t%2Fken@push.example.com/ops?connectTimeout=1.5';
        $this->assertInstanceOf(HttpGateway::class, GatewayFactory::create($dsn));
        $this->assertInstanceOf(FakeGateway::class, GatewayFactory::create('fake://default'));
        $this->assertInstanceOf(FakeGateway::class, GatewayFactory::create(['dsn' => 'fake:', 'tokenKey' => null]));
    }

    /**
     * @dataProvider wrong
     * @param string|array<string, mixed> $dsn
     */
    public function testWhatIsWrongIsSaid(string|array $dsn, string $complaint): void
    {
        $this->expectException(InvalidConfiguration::class);
        $this->expectExceptionMessage($complaint);
        GatewayFactory::create($dsn);
    }

    /** @return array<string, array{string|array<string, mixed>, string}> */
    public static function wrong(): array
    {
        return [
            'nothing' => ['', 'The DSN is none such as gateway://'],
            'no DSN' => [['tokenKey' => 'x'], 'The DSN is none such as gateway://'],
            'an address' => ['127.0.0.1:1238', 'The DSN is none such as gateway://'],
            'another scheme' => ['redis://127.0.0.1:6379', 'There is no redis'],
            'no port' => ['extension://127.0.0.1', '127.0.0.1 is no address such as'],
            'a port twice' => ['gateway://a:1,b', 'b is no address such as'],
            'a secret twice' => ['http://a@b@127.0.0.1:1239', 'The DSN is none such as gateway://'],
            'no host' => ['http://', 'is no address such as http://127.0.0.1:1239'],
            'an option' => ['fake:?tokenkey=x', 'There is no option tokenkey: there are operationsToken'],
            'a key' => ['fake:?tokenKey=', 'tokenKey is empty'],
            'two keys' => ['fake:?tokenKey=x&tokenKeyFile=y', 'tokenKey and tokenKeyFile are both set'],
            'a file' => ['fake:?tokenKeyFile=/nowhere/key', '/nowhere/key: there is no such file'],
            'a time' => ['http://127.0.0.1:1239?connectTimeout=0', 'connectTimeout must be more than 0'],
            'a time that is none' => ['http://127.0.0.1:1239?connectTimeout=x', 'connectTimeout must be more than 0'],
            'a token twice' => ['http://a@127.0.0.1:1239?operationsToken=b', 'stands in the DSN and in an option'],
            'an empty token' => ['http://127.0.0.1:1239?operationsToken=', 'operationsToken is empty'],
            'what to do' => ['fake:?onError=ignore', 'onError is neither "throw" nor "log"'],
            'a log that is missing' => ['fake:?onError=log', 'there is no logger'],
            'a token that is no header' => ["http://a%0d%0aX:b@127.0.0.1:1239", 'has bytes that no header takes'],
        ];
    }

    public function testKeysComeFromFiles(): void
    {
        $file = (string) tempnam(sys_get_temp_dir(), 'key');
        try {
            file_put_contents($file, "key of tokens\nsecond line\n");
            $gateway = GatewayFactory::create(['dsn' => 'http://127.0.0.1:1', 'tokenKeyFile' => $file]);
            [$header, $claims, $signature] = explode('.', $gateway->token('ann'));
            $signed = base64_encode(hash_hmac('sha256', "$header.$claims", 'key of tokens', true));
            $expected = rtrim(strtr($signed, '+/', '-_'), '=');
            $this->assertSame($expected, $signature);
            file_put_contents($file, "\n");
            $this->expectExceptionMessage("$file: it is empty");
            GatewayFactory::create(['dsn' => 'http://127.0.0.1:1', 'tokenKeyFile' => $file]);
        } finally {
            unlink($file);
        }
    }

    public function testATransportMakesTheRequestsOfAnHttpDsnAlone(): void
    {
        $transport = new class implements Transport {
            public function post(string $path, string $json, float $timeout): Answer
            {
                return new Answer(200, '{"result": 5}');
            }
        };
        $gateway = GatewayFactory::create('http:', null, null, $transport);
        $this->assertSame(5, $gateway->getAllClientIdCount());
        $this->expectException(InvalidConfiguration::class);
        GatewayFactory::create('fake:', null, null, $transport);
    }

    public function testALogIsUsedWhereThatIsWanted(): void
    {
        $gateway = GatewayFactory::create(['dsn' => 'fake:', 'onError' => 'log'], new NullLogger());
        $this->assertInstanceOf(FakeGateway::class, $gateway);
        $gateway->failure = 'away';
        $gateway->sendToAll('m');
        $this->expectException(CallFailed::class);
        $gateway->getAllClientIdCount();
    }

    public function testWithoutTheExtensionADsnOfItSaysWhatCanBeDone(): void
    {
        if (extension_loaded('gateway')) {
            $this->assertInstanceOf(ExtensionGateway::class, GatewayFactory::create('gateway://default'));
            return;
        }
        $this->expectExceptionMessage('or name the HTTP API of the server by a DSN such as http://127.0.0.1:1239');
        GatewayFactory::create('gateway://default');
    }
}
