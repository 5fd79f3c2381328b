<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PHPUnit\Framework\TestCase as UnitTest;
use Psr\EventDispatcher\EventDispatcherInterface;
use PushGateway\Event\MessageReceipt;
use PushGateway\Event\MessageUndelivered;
use PushGateway\Test\SignedWebhook;
use PushGateway\Webhook\Failure;
use PushGateway\Webhook\Webhook;
use PushGateway\Webhook\WebhookException;

final class WebhookTest extends UnitTest
{
    private const OTHER_SECRET = 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

    /**
     * The first was published by others for signatures of this form, and its body is none of the gateway's. The second was
     * computed by `openssl dgst -sha256 -mac HMAC -macopt hexkey:…`.
     *
     * @dataProvider vectors
     */
    public function testItComputesWhatOthersCompute(
        string $secret,
        string $id,
        string $time,
        string $signature,
        string $body,
        ?Failure $failure
    ): void {
        $headers = ['webhook-id' => $id, 'webhook-timestamp' => $time, 'webhook-signature' => $signature];
        $this->assertSame($failure, $this->failure(new Webhook($secret), $body, $headers, (int) $time));
        $changed = ['webhook-signature' => strtr($signature, 'g', 'h')] + $headers;
        $changed['webhook-id'] = strtr($id, 'm', 'n');
        $this->assertSame(Failure::WrongSignature, $this->failure(new Webhook($secret), $body, $changed, (int) $time));
    }

    /** @return array<string, array{string, string, string, string, string, ?Failure}> */
    public static function vectors(): array
    {
        return [
            'published' => [
                'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
                'msg_p5jXN8AQM9LWM0D4loKWxJek',
                '1614265330',
                'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
                '{"test": 2432232314}',
                Failure::BadBody,
            ],
            'computed by openssl' => [
                SignedWebhook::SECRET,
                'msg_1',
                '1764446400',
                'v1,YqtIj2oqz5nrpa2zct0Olove3AlYOPlLuWRrwQDiqio=',
                '{"type":"inbox.notices","timestamp":"2026-11-29T20:00:00Z","data":{"receipts":[],"undelivered":[]}}',
                null,
            ],
        ];
    }

    public function testNoticesAreRead(): void
    {
        $notices = (new Webhook(SignedWebhook::SECRET))->verify(SignedWebhook::BODY, SignedWebhook::headers(SignedWebhook::BODY));
        $this->assertSame('msg_1', $notices->id);
        $this->assertSame(SignedWebhook::RECEIPTS, $notices->receipts);
        $this->assertSame(SignedWebhook::UNDELIVERED, $notices->undelivered);
    }

    public function testListenersAreToldOfEachNotice(): void
    {
        $dispatcher = new class implements EventDispatcherInterface {
            /** @var list<array<string, mixed>> */
            public array $told = [];

            public function dispatch(object $event): object
            {
                $this->told[] = ['class' => $event::class] + get_object_vars($event);
                if (count($this->told) === 4) {
                    throw new \DomainException('enough');
                }

                return $event;
            }
        };
        $notices = (new Webhook(SignedWebhook::SECRET))->verify(SignedWebhook::BODY, SignedWebhook::headers(SignedWebhook::BODY));
        $notices->dispatch($dispatcher);
        $expected = array_map(fn (array $notice) => ['class' => MessageReceipt::class] + $notice, SignedWebhook::RECEIPTS);
        $expected[] = ['class' => MessageUndelivered::class] + SignedWebhook::UNDELIVERED[0];
        $this->assertSame($expected, $dispatcher->told);
        $this->expectException(\DomainException::class);
        $notices->dispatch($dispatcher);
    }

    public function testATypeThatIsNotKnownHasNoNotices(): void
    {
        $body = '{"type":"something.new","data":{"receipts":7}}';
        $notices = (new Webhook(SignedWebhook::SECRET))->verify($body, SignedWebhook::headers($body));
        $this->assertSame([[], []], [$notices->receipts, $notices->undelivered]);
    }

    /**
     * @param \Closure(array<string, string>): array<mixed> $of makes what a framework has of the headers
     * @dataProvider formsOfHeaders
     */
    public function testHeadersAreTakenAsFrameworksHaveThem(\Closure $of): void
    {
        $headers = $of(SignedWebhook::headers(SignedWebhook::BODY));
        $this->assertNull($this->failure(new Webhook(SignedWebhook::SECRET), SignedWebhook::BODY, $headers));
    }

    /** @return array<string, array{\Closure(array<string, string>): array<mixed>}> */
    public static function formsOfHeaders(): array
    {
        $renamed = fn (callable $name) => fn (array $headers) =>
            array_combine(array_map($name, array_keys($headers)), array_values($headers));

        return [
            'getallheaders' => [$renamed(fn (string $name) => $name)],
            'small letters' => [$renamed(fn (string $name) => strtolower($name))],
            '$_SERVER' => [$renamed(fn (string $name) => 'HTTP_' . strtr(strtoupper($name), '-', '_'))],
            'lists' => [fn (array $headers) => array_map(fn (string $value) => [$value], $headers) + ['accept' => [7, null]]],
        ];
    }

    public function testOneGoodSignatureOfSeveralIsEnough(): void
    {
        $headers = SignedWebhook::headers(SignedWebhook::BODY);
        $good = $headers['Webhook-Signature'];
        $bad = 'v1,' . base64_encode(str_repeat('x', 32));
        foreach (["$good $bad", "$bad $good", "v1a,x $bad  $good", $good] as $signatures) {
            $headers['Webhook-Signature'] = $signatures;
            $this->assertNull($this->failure(new Webhook(SignedWebhook::SECRET), SignedWebhook::BODY, $headers), $signatures);
        }
    }

    public function testTheOldSecretAndTheNewOneAreGoodTogether(): void
    {
        $both = new Webhook([self::OTHER_SECRET, SignedWebhook::SECRET]);
        foreach ([SignedWebhook::SECRET, self::OTHER_SECRET] as $secret) {
            $headers = SignedWebhook::headers(SignedWebhook::BODY, $secret);
            $this->assertNull($this->failure($both, SignedWebhook::BODY, $headers));
        }
        $headers = SignedWebhook::headers(SignedWebhook::BODY, self::OTHER_SECRET);
        $alone = new Webhook(SignedWebhook::SECRET);
        $this->assertSame(Failure::WrongSignature, $this->failure($alone, SignedWebhook::BODY, $headers));
    }

    /** @dataProvider changes */
    public function testWhatWasChangedIsRefused(Failure $failure, array $changed, string $body = SignedWebhook::BODY): void
    {
        $headers = array_filter($changed + SignedWebhook::headers(SignedWebhook::BODY), fn (mixed $value) => $value !== null);
        $this->assertSame($failure, $this->failure(new Webhook(SignedWebhook::SECRET), $body, $headers));
    }

    /** @return array<string, array{0: Failure, 1: array<string, mixed>, 2?: string}> */
    public static function changes(): array
    {
        ['Webhook-Timestamp' => $time, 'Webhook-Signature' => $good] = SignedWebhook::headers(SignedWebhook::BODY);

        return [
            'a body' => [Failure::WrongSignature, [], SignedWebhook::BODY . ' '],
            'an id' => [Failure::WrongSignature, ['Webhook-Id' => 'msg_2']],
            'a time' => [Failure::WrongSignature, ['Webhook-Timestamp' => (string) ($time - 7)]],
            'a version' => [Failure::WrongSignature, ['Webhook-Signature' => 'v2' . substr($good, 2)]],
            'half a signature' => [Failure::WrongSignature, ['Webhook-Signature' => substr($good, 0, 20)]],
            'no signature' => [Failure::WrongSignature, ['Webhook-Signature' => '']],
            'signatures by commas' => [Failure::WrongSignature, ['Webhook-Signature' => "x,$good"]],
            'no header' => [Failure::BadHeader, ['Webhook-Signature' => null]],
            'no id' => [Failure::BadHeader, ['Webhook-Id' => null]],
            'an empty id' => [Failure::BadHeader, ['Webhook-Id' => '']],
            'an id with a dot' => [Failure::BadHeader, ['Webhook-Id' => 'msg.1']],
            'an id of another line' => [Failure::BadHeader, ['Webhook-Id' => "msg_1\n"]],
            'two ids' => [Failure::BadHeader, ['Webhook-Id' => ['msg_1', 'msg_1']]],
            'an id by two names' => [Failure::BadHeader, ['HTTP_WEBHOOK_ID' => 'msg_1']],
            'a number' => [Failure::BadHeader, ['Webhook-Timestamp' => 1764446400]],
            'a time with a sign' => [Failure::BadHeader, ['Webhook-Timestamp' => "-$time"]],
            'a time that is too long' => [Failure::BadHeader, ['Webhook-Timestamp' => str_repeat('9', 13)]],
            'signatures without end' => [Failure::BadHeader, ['Webhook-Signature' => str_repeat("$good ", 50)]],
            'a body that is too long' => [Failure::BodyTooLong, [], str_repeat(' ', Webhook::MAX_BODY + 1)],
        ];
    }

    public function testAWebhookIsGoodForFiveMinutes(): void
    {
        $webhook = new Webhook(SignedWebhook::SECRET);
        $headers = SignedWebhook::headers(SignedWebhook::BODY, time: 1764446400);
        foreach ([-301, -300, 0, 300, 301] as $late) {
            $failure = abs($late) > 300 ? Failure::WrongTime : null;
            $this->assertSame($failure, $this->failure($webhook, SignedWebhook::BODY, $headers, 1764446400 + $late), "$late");
        }
        $this->assertSame(Failure::WrongTime, $this->failure($webhook, SignedWebhook::BODY, $headers));
    }

    public function testALongBodyIsTaken(): void
    {
        $body = str_pad(SignedWebhook::BODY, Webhook::MAX_BODY);
        $this->assertNull($this->failure(new Webhook(SignedWebhook::SECRET), $body, SignedWebhook::headers($body)));
    }

    /** @dataProvider bodies */
    public function testABodyThatIsSignedIsStillRead(string $body): void
    {
        $headers = SignedWebhook::headers($body);
        $this->assertSame(Failure::BadBody, $this->failure(new Webhook(SignedWebhook::SECRET), $body, $headers));
    }

    /** @return list<array{string}> */
    public static function bodies(): array
    {
        $data = fn (string $data) => ['{"type":"inbox.notices","data":' . $data . '}'];

        return [
            [''],
            ['7'],
            ['{"type":7}'],
            ['{"type":"inbox.notices"}'],
            [str_repeat('[', 100) . str_repeat(']', 100)],
            $data('{"receipts":{"a":1}}'),
            $data('{"receipts":[7]}'),
            $data('{"undelivered":[{"id":"m1","stored":1}]}'),
            $data('{"undelivered":[{"uid":7,"id":"m1","stored":1}]}'),
            $data('{"undelivered":[{"uid":{"base64":"?"},"id":"m1","stored":1}]}'),
            $data('{"undelivered":[{"uid":"a","id":"m1","stored":"1"}]}'),
            $data('{"undelivered":[{"uid":"a","id":"m1","stored":99999999999999999999}]}'),
            $data('{"receipts":[{"uid":"a","id":"m1","device":"","signed":true,"at":1}]}'),
        ];
    }

    /** @dataProvider wrongSecrets */
    public function testWhatIsNoSecretIsRefusedAtOnce(string|array $secret): void
    {
        $this->expectException(\InvalidArgumentException::class);
        new Webhook($secret);
    }

    /** @return array<string, array{string|list<string>}> */
    public static function wrongSecrets(): array
    {
        return [
            'none' => [[]],
            'empty' => [''],
            'no prefix' => [substr(SignedWebhook::SECRET, 6)],
            'no base64' => ['whsec_????????????????????????????????'],
            'too short' => ['whsec_' . base64_encode(str_repeat('x', 23))],
            'too long' => ['whsec_' . base64_encode(str_repeat('x', 65))],
            'one of two' => [[SignedWebhook::SECRET, 'secret']],
        ];
    }

    /** @param array<mixed> $headers */
    private function failure(Webhook $webhook, string $body, array $headers, ?int $now = null): ?Failure
    {
        try {
            $webhook->verify($body, $headers, $now);
        } catch (WebhookException $e) {
            $this->assertNotSame('', $e->getMessage());
            return $e->failure;
        }

        return null;
    }
}
