<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

use PushGateway\Test\SignedWebhook;
use PushGateway\Webhook\Webhook;
use PushGateway\Yii2\WebhookAction;
use Yii;
use yii\base\InvalidConfigException;
use yii\web\BadRequestHttpException;
use yii\web\Controller;
use yii\web\HttpException;

final class WebhookActionTest extends TestCase
{
    /** @var list<array{string, mixed}> what the handlers were given, in order */
    private array $calls = [];

    /** @var array<string, mixed> what the action is set up with */
    private array $settings = [];

    protected function setUp(): void
    {
        parent::setUp();
        $this->calls = [];
        $this->settings = [
            'secret' => SignedWebhook::SECRET,
            'onReceipt' => function (array $receipts): void {
                $this->calls[] = ['receipts', $receipts];
            },
            'onUndelivered' => function (string $uid, string $id): void {
                $this->calls[] = ['undelivered', [$uid, $id]];
            },
        ];
    }

    /**
     * Runs the action as a controller does, so that what the controller checks before is checked.
     *
     * @param array<string, string>|null $headers null stands for those that a body is signed with
     */
    private function post(string $body = SignedWebhook::BODY, ?array $headers = null, string $method = 'POST'): mixed
    {
        $_SERVER['REQUEST_METHOD'] = $method;
        foreach ($headers ?? SignedWebhook::headers($body) as $name => $value) {
            Yii::$app->getRequest()->getHeaders()->set($name, $value);
        }
        $controller = new WebhookController('webhook', Yii::$app, ['settings' => ['posted' => $body] + $this->settings]);

        return $controller->runAction('receive');
    }

    public function testHandlersGetWhatASignedRequestBrings(): void
    {
        $answer = $this->post();
        $this->assertSame([204, ''], [$answer->getStatusCode(), $answer->content]);
        $expected = [['receipts', SignedWebhook::RECEIPTS], ['undelivered', ['anna', 'm3']]];
        $this->assertSame($expected, $this->calls);
    }

    public function testAHandlerThatIsNotWantedIsNotNeeded(): void
    {
        unset($this->settings['onReceipt'], $this->settings['onUndelivered']);
        $this->assertSame(204, $this->post()->getStatusCode());
    }

    public function testNobodyIsCalledForNothing(): void
    {
        $body = '{"type":"inbox.notices","data":{"receipts":[],"undelivered":[]}}';
        $this->assertSame(204, $this->post($body)->getStatusCode());
        $this->assertSame([], $this->calls);
    }

    /** @dataProvider refusedRequests */
    public function testWhatIsRefusedCallsNobody(int $status, string $body, ?array $headers, string $method = 'POST'): void
    {
        try {
            $this->post($body, $headers, $method);
            $this->fail('it was taken');
        } catch (HttpException $e) {
            $this->assertSame($status, $e->statusCode);
        }
        $this->assertSame([], $this->calls);
        $this->assertSame($status === 405 ? 'POST' : null, Yii::$app->getResponse()->getHeaders()->get('Allow'));
    }

    /** @return array<string, array{0: int, 1: string, 2: ?array<string, string>, 3?: string}> */
    public static function refusedRequests(): array
    {
        $good = SignedWebhook::headers(SignedWebhook::BODY);

        return [
            'no headers' => [401, SignedWebhook::BODY, []],
            'another body' => [401, SignedWebhook::BODY . ' ', $good],
            'an old one' => [401, SignedWebhook::BODY, SignedWebhook::headers(SignedWebhook::BODY, time: time() - 400)],
            'too long a body' => [401, str_repeat(' ', Webhook::MAX_BODY + 1), $good],
            'signed, but no JSON' => [400, 'x', null],
            'a link' => [405, SignedWebhook::BODY, $good, 'GET'],
            'another method' => [405, SignedWebhook::BODY, $good, 'PUT'],
        ];
    }

    /** @dataProvider handlersThatThrow */
    public function testWhatAHandlerDidNotDoComesAgain(string $handler, int $called): void
    {
        $handled = $this->settings[$handler];
        $this->settings[$handler] = fn () => throw new BadRequestHttpException('the database is away');
        try {
            $this->post();
            $this->fail('it was taken');
        } catch (HttpException $e) {
            $this->assertSame(500, $e->statusCode);
            $this->assertStringContainsString('the database is away', (string) $e->getPrevious());
        }
        $this->assertCount($called, $this->calls);
        $this->settings[$handler] = $handled;
        $this->assertSame(204, $this->post()->getStatusCode());
        $this->assertCount($called + 2, $this->calls);
    }

    /** @return list<array{string, int}> */
    public static function handlersThatThrow(): array
    {
        return [['onReceipt', 0], ['onUndelivered', 1]];
    }

    /**
     * @param array<string, mixed> $settings
     * @dataProvider wrongSettings
     */
    public function testWrongSettingsAreToldOf(array $settings, string $told): void
    {
        $this->expectException(InvalidConfigException::class);
        $this->expectExceptionMessage($told);
        new WebhookAction('webhook', new Controller('page', Yii::$app), $settings);
    }

    /** @return list<array{array<string, mixed>, string}> */
    public static function wrongSettings(): array
    {
        return [
            [[], '$secret'],
            [['secret' => ''], '$secret'],
            [['secret' => SignedWebhook::SECRET, 'onReceipt' => 'there_is_no_such_function'], '$onReceipt'],
            [['secret' => SignedWebhook::SECRET, 'onUndelivered' => 7], '$onUndelivered'],
        ];
    }
}
