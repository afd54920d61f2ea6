zeroshot experts build ant-dir --recipe sac-laptop --chain --anchors direction=1.410510987 \
    --only direction=1.410510987 --workers 1 --out zoo/ant-first
zeroshot experts build ant-dir --recipe sac-laptop --chain --anchors direction=1.410510987 \
    --only direction=1.410510987 --anchor-zoo zoo/ant-first --warm-steps 400000 --workers 1 \
    --out zoo/ant-second
zeroshot experts build ant-dir --recipe sac-laptop --chain --anchors direction=1.410510987 \
    --only direction=1.410510987 --anchor-zoo zoo/ant-second --warm-steps 100000 --workers 1 \
    --out zoo/ant-third
zeroshot experts turn ant-dir --home direction=1.410510987 --zoo zoo/ant-third --warm-steps 800000 \
    --out zoo/ant-dir
# shipped as policies alone, in float16: experts.shipping.lighten
