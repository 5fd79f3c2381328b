<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

use PushGateway\Yii2\GatewayWidget;
use Yii;
use yii\base\InvalidConfigException;
use yii\web\View;

final class GatewayWidgetTest extends TestCase
{
    private function script(): string
    {
        return implode("\n", Yii::$app->getView()->js[View::POS_END] ?? []);
    }

    public function testAPageOfAUserComesWithATokenAndOneOfNobodyWithout(): void
    {
        $settings = ['url' => 'wss://example.com/ws', 'tokenRoute' => ['/site/token']];
        foreach (['ann' => '"tokenUrl":"\\/index.php?r=site%2Ftoken"', '' => '"options":{}'] as $user => $part) {
            $this->tearDown();
            $this->startApplication(user: $user === '' ? null : $user);
            $this->assertSame('', GatewayWidget::widget($settings));
            $this->assertStringContainsString($part, $this->script());
            $this->assertSame($user !== '', str_contains($this->script(), 'tokenUrl'));
            $this->assertStringContainsString('csrf-token', implode(Yii::$app->getView()->metaTags));
        }
    }

    public function testWhatItWritesBreaksOutOfNothing(): void
    {
        GatewayWidget::widget(['url' => '/ws?</script><b>', 'on' => ['</script>' => 'show']]);
        $this->assertStringNotContainsString('</script>', $this->script());
        $this->assertStringContainsString('window.gateway = GatewayWidget(', $this->script());
        $this->assertStringContainsString(":() => (show\n)}", $this->script());
    }

    public function testItShowsItsStateInTheUsersLanguage(): void
    {
        Yii::$app->language = 'zh-CN';
        $html = GatewayWidget::widget(['url' => '/ws', 'showState' => true, 'stateOptions' => ['tag' => 'em', 'class' => 'x']]);
        $this->assertMatchesRegularExpression('~^<em [^>]*class="x gateway-state"[^>]*>正在连接</em>$~', $html);
    }

    public function testItSaysWhetherAPageThatIsBackHasMissedAnything(): void
    {
        foreach (['en-US' => 'the gateway was restarted', 'zh-CN' => '网关已重启'] as $language => $words) {
            $this->tearDown();
            $this->startApplication();
            Yii::$app->language = $language;
            GatewayWidget::widget(['url' => '/ws', 'showState' => true]);
            $this->assertSame(1, preg_match('/"labels":(\{.*?\}\})/', $this->script(), $found));
            $labels = json_decode($found[1], true);
            // The words of docs/client-protocol.md, and a new client that has not asked for the old one.
            $reasons = ['expired', 'overflow', 'restarted', 'closed', 'identity', 'raw', 'moved', 'unknown', 'none'];
            $this->assertSame($reasons, array_keys($labels['reasons']));
            $this->assertSame($words, $labels['reasons']['restarted']);
            $this->assertStringContainsString('{n}', $labels['recovered']);
            $this->assertStringContainsString('{reason}', $labels['gap']);
        }
    }

    public function testAPageGoesOnForTheSameUserAlone(): void
    {
        foreach (['ann' => 'user ann', '' => 'nobody'] as $user => $whom) {
            $this->tearDown();
            $this->startApplication(user: $user === '' ? null : $user);
            GatewayWidget::widget(['url' => '/ws', 'clientOptions' => ['resumeTab' => true, 'queueBytes' => 1024]]);
            $this->assertStringContainsString('"options":{"resumeTab":"' . $whom . '","queueBytes":1024}', $this->script());
        }
    }

    public function testOneNameIsOneConnection(): void
    {
        GatewayWidget::widget(['url' => '/ws']);
        GatewayWidget::widget(['url' => '/ws']);
        GatewayWidget::widget(['url' => '/ws', 'name' => 'other']);
        $this->assertSame(2, substr_count($this->script(), 'GatewayWidget('));
    }

    /** @dataProvider wrongSettings */
    public function testWrongSettingsSayWhatIsWrong(array $settings, string $why): void
    {
        $this->expectException(InvalidConfigException::class);
        $this->expectExceptionMessage($why);
        GatewayWidget::widget($settings + ['url' => '/ws']);
    }

    /** @return array<string, array{array<string, mixed>, string}> */
    public static function wrongSettings(): array
    {
        return [
            'no address' => [['url' => 'javascript:alert(1)'], 'is no address such as wss://example.com/ws'],
            'another site' => [['url' => '//example.com/ws'], 'is no address such as wss://example.com/ws'],
            'both ways' => [['tokenRoute' => ['a'], 'bindRoute' => ['b']], 'bindRoute must not be set'],
            'no name' => [['name' => 'a b'], 'is no name of a JavaScript variable'],
            'an unknown event' => [['clientEvents' => ['opened' => 'x']], '"opened" is none of open'],
            'an unknown option' => [['clientOptions' => ['delay' => 1]], '"delay" is none of'],
        ];
    }
}
